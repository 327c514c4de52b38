/* SPDX-License-Identifier: Apache-2.0 */
/* A filesystem that never answers; see help.h. */
#include "help.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int help_stuck(const char *path)
{
    char options[128];
    struct {
        struct fuse_out_header header;
        struct fuse_init_out init;
    } answer = {.header = {.len = sizeof(answer)},
                .init = {.major = FUSE_KERNEL_VERSION,
                         .minor = FUSE_KERNEL_MINOR_VERSION,
                         .max_write = 4096}};
    char request[FUSE_MIN_READ_BUFFER];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0 || mkdir(path, 0755) != 0)
        return -1;
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
    if (mount("stuck", path, "fuse", 0, options) != 0 ||
        read(fd, request, sizeof(request)) < (ssize_t)sizeof(struct fuse_in_header)) {
        close(fd);
        return -1;
    }
    answer.header.unique = ((struct fuse_in_header *)(void *)request)->unique;
    ck_assert_int_eq(write(fd, &answer, sizeof(answer)), sizeof(answer));
    return fd;
}

void help_stuck_wait(int fd)
{
    char request[FUSE_MIN_READ_BUFFER];
    ck_assert_int_gt(read(fd, request, sizeof(request)), 0);
}
