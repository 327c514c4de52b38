/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `chronosfs --restore-device-access`; see restore_devacl.h. Holds the lock of the state directory,
 * so that no daemon starts at the same time. It must not mount anything.
 */
#include "restore_devacl.h"

#include "state_dir.h"

#include "core/devacl/devacl.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int restore_devacl_at(const char *path, struct message *message)
{
    const struct devacl_options options = {.state_dir = path};
    struct message why;
    struct devacl *devacl;
    int r = devacl_new(&options, &devacl, message);
    if (r)
        return r;
    bool damaged = message->text[0] != '\0';
    size_t count = devacl_count(devacl);
    r = devacl_release(devacl, &why);
    if (r)
        *message = why;
    else if (damaged) /* `message` already says so */
        r = -EIO;
    else if (count == 0)
        message_set(0, message, "Nothing to restore: %s has no restricted device nodes.", path);
    else
        message_set(0, message, "%zu device node%s restored.", count,
                    count == 1 ? " was" : "s were");
    devacl_free(devacl);
    return r;
}

int restore_devacl(const char *state_dir, struct message *message)
{
    char path[PATH_MAX];

    /* Do not create a directory for a mistyped name. */
    if (state_dir[0] != '\0' && access(state_dir, F_OK) != 0) {
        int r = -errno;
        return message_set(r, message, "Cannot use the state directory %s: %s.", state_dir,
                           strerror(-r));
    }
    int fd = state_dir_lock(state_dir, path, message);
    if (fd == -EBUSY) {
        size_t length = strlen(message->text);
        snprintf(
            message->text + length, sizeof(message->text) - length,
            " While it runs, write open to its config/device_access to open the device nodes.");
    }
    if (fd < 0)
        return fd;
    int r = restore_devacl_at(path, message);
    close(fd);
    return r;
}
