/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join a container that an engine has made and not started yet; see container.h. Engines show
 * stderr to those who start the container, and do not start it if this fails.
 */
#include "container.h"

#include "change.h"
#include "core/base/array.h"
#include "core/base/procfs.h"
#include "handle.h"
#include "oci_state.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Processes between the engine and the first one of the container. */
#define BETWEEN_MAX 4

/* Read all of standard input; the caller frees *ret_text. */
static int read_state(char **ret_text, size_t *ret_length)
{
    size_t room = 0, used = 0;
    char *text = NULL;
    ssize_t length;
    int r;
    do {
        r = used > OCI_STATE_MAX ? -EFBIG : array_reserve(text, room, used + 4096);
        length = r < 0 ? r : read(STDIN_FILENO, text + used, room - used);
        if (length < 0 && r >= 0)
            r = errno == EINTR ? 0 : -errno;
        used += length > 0 ? (size_t)length : 0;
    } while (r >= 0 && length != 0);
    if (r < 0) {
        free(text);
        return r;
    }
    *ret_text = text;
    *ret_length = used;
    return 0;
}

static pid_t parent_of(pid_t pid)
{
    struct procfs_stat process;
    return procfs_stat_read(-1, pid, &process) ? 0 : process.ppid;
}

/* Return whether the program that runs this hook has started the process. Only an engine has made
 * the container that it speaks of: the hook of root joins no other process, whatever text it is
 * given. One that made a user namespace may have left the process to its own parent, which watches
 * this container alone. */
static bool is_of_engine(pid_t pid)
{
    const pid_t engine = getppid(), monitor = engine > 1 ? parent_of(engine) : 0;
    pid_t parent = parent_of(pid);
    if (monitor > 1 && parent == monitor)
        return pid != engine;
    for (int i = 0; i < BETWEEN_MAX && parent > 1; i++, parent = parent_of(parent)) {
        if (parent == engine)
            return true;
    }
    return false;
}

/* Find the process of the container. 0, or an exit code after a message. */
static int find_process(const struct command *command, int *ret_pid)
{
    char *text;
    size_t length;
    int pid = 0;
    if (isatty(STDIN_FILENO))
        return args_usage_error(command, "With --oci, standard input is the state of a container: "
                                         "engines run this as a hook.");
    int r = read_state(&text, &length);
    if (!r) {
        r = oci_state_pid(text, length, &pid);
        free(text);
    }
    if (r)
        output_message(r == -ENOENT ? "The state of the container names no process."
                                    : "The state of the container on standard input is not "
                                      "understood: it must be the JSON that engines give to "
                                      "hooks.");
    else if (!is_of_engine(pid))
        output_message("Process %d was not started by the program that runs this hook; nothing "
                       "was joined.",
                       pid);
    else
        *ret_pid = pid;
    return r || *ret_pid == 0 ? EXIT_REFUSED : 0;
}

int container_join(const struct chronos_mount *mount, const struct command *command,
                   const char *const *words)
{
    char id[CHRONOS_ID_MAX], number[16];
    int pid = 0, r = find_process(command, &pid);
    snprintf(number, sizeof(number), "%d", pid);
    for (size_t i = 0; !r && words[i]; i++) {
        r = handle_find(mount, words[i], id);
        if (!r)
            r = change_write(mount, id, "procs", number, "The container cannot join");
    }
    return r;
}
