/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `chronosfs --restore-device-access`; see restore_devacl.h. Holds the lock of the state for as
 * long as it works, so that no daemon starts meanwhile. It must not mount anything.
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

int restore_devacl_at(const char *path, char *message, size_t size)
{
    const struct devacl_options options = {.state_dir = path};
    struct message why;
    struct devacl *devacl;
    int r = devacl_new(&options, &devacl, &why);

    snprintf(message, size, "%s", why.text);
    if (r != 0)
        return r;
    bool damaged = why.text[0] != '\0';
    size_t count = devacl_count(devacl);
    r = devacl_release(devacl, &why);
    if (r != 0)
        snprintf(message, size, "%s", why.text);
    else if (damaged) /* said above */
        r = -EIO;
    else if (count == 0)
        snprintf(message, size, "nothing to put back: %s tells of no closed device nodes", path);
    else
        snprintf(message, size, "%zu device node%s put back as before", count,
                 count == 1 ? " was" : "s were");
    devacl_free(devacl);
    return r;
}

int restore_devacl(const char *state_dir, char *message, size_t size)
{
    char path[PATH_MAX];

    /* A name that was mistyped is not to be made. */
    if (state_dir[0] != '\0' && access(state_dir, F_OK) != 0) {
        int r = -errno;
        snprintf(message, size, "cannot use the state directory %s: %s", state_dir, strerror(-r));
        return r;
    }
    int fd = state_dir_lock(state_dir, path, message, size);
    if (fd == -EBUSY) {
        size_t length = strlen(message);
        snprintf(
            message + length, size - length,
            "; while it lives, write open to its config/device_access to open the device nodes");
    }
    if (fd < 0)
        return fd;
    int r = restore_devacl_at(path, message, size);
    close(fd);
    return r;
}
