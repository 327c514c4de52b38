/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded before libsqlite3 (LD_PRELOAD): a disk that answers no sync while the file
 * $HELD_DISK_WHILE exists, and fails then. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    const char *file = getenv("HELD_DISK_WHILE");
    if (!file || access(file, F_OK))
        return fsync(fd);
    while (!access(file, F_OK))
        usleep(1000);
    errno = EIO;
    return -1;
}
