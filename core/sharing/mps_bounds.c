/* SPDX-License-Identifier: Apache-2.0 */
/* What a control daemon of MPS was started with; see mps_bounds.h. */
#include "mps_bounds.h"

#include "directory.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_bounds(const struct sharing_mode *mode, char text[static 64])
{
    snprintf(text, 64, "percentage=%" PRIu32 " memory=%" PRIu64 "\n", mode->percentage,
             mode->memory_bytes);
}

int mps_bounds_write(const struct sharing_device *device, const struct sharing_mode *mode)
{
    char text[64];
    int dir = directory_open(device->directory, false);
    int fd = dir < 0 ? dir
                     : openat(dir, MPS_BOUNDS,
                              O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : 0;

    print_bounds(mode, text);
    if (!r && write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        r = -EIO;
    fd_close(fd);
    fd_close(dir);
    return r;
}

bool mps_bounds_read(const struct sharing_device *device, const struct sharing_mode *mode,
                     bool *ret_same)
{
    char text[64] = "", wanted[64];
    int dir = directory_open(device->directory, false);
    ssize_t length = dir < 0 ? dir : fd_read_text(dir, MPS_BOUNDS, text, sizeof(text));

    fd_close(dir);
    print_bounds(mode, wanted);
    *ret_same = length > 0 && strcmp(text, wanted) == 0;
    return length >= 0;
}
