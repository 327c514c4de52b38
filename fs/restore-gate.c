/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `chronosfs --restore-gate`; see restore-gate.h. Holds the lock of the state for as
 * long as it works, so that no daemon starts meanwhile. It must not mount anything.
 */
#include "restore-gate.h"

#include "state.h"

#include "../core/gate/gate.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int restore_gate_at(const char *path, char *sentence, size_t size)
{
    const struct gate_options options = {.state_dir = path};
    char why[GATE_SENTENCE_MAX];
    struct gate *gate;
    int r = gate_new(&options, &gate, why, sizeof(why));

    snprintf(sentence, size, "%s", why);
    if (r != 0)
        return r;
    bool damaged = why[0] != '\0';
    size_t count = gate_count(gate);
    r = gate_release(gate, why, sizeof(why));
    if (r != 0)
        snprintf(sentence, size, "%s", why);
    else if (damaged) /* said above */
        r = -EIO;
    else if (count == 0)
        snprintf(sentence, size, "nothing to put back: %s tells of no closed device nodes", path);
    else
        snprintf(sentence, size, "%zu device node%s put back as before", count,
                 count == 1 ? " was" : "s were");
    gate_free(gate);
    return r;
}

int restore_gate(const char *state_dir, char *sentence, size_t size)
{
    char path[PATH_MAX];

    /* A name that was mistyped is not to be made. */
    if (state_dir[0] != '\0' && access(state_dir, F_OK) != 0) {
        int r = -errno;
        snprintf(sentence, size, "cannot use the state directory %s: %s", state_dir, strerror(-r));
        return r;
    }
    int fd = state_lock(state_dir, path, sentence, size);
    if (fd == -EBUSY) {
        size_t length = strlen(sentence);
        snprintf(sentence + length, size - length,
                 "; while it lives, write off to its config/gate to open the device nodes");
    }
    if (fd < 0)
        return fd;
    int r = restore_gate_at(path, sentence, size);
    close(fd);
    return r;
}
