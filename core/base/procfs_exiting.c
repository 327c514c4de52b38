/* SPDX-License-Identifier: Apache-2.0 */
/* Find out whether a process is exiting; see procfs.h. */
#include "procfs.h"

#include "fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

bool procfs_is_exiting(pid_t pid)
{
    char path[PROCFS_PATH_MAX];
    int fd = openat(procfs_at(pid, "task", path), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
    bool runs = false;
    if (!tasks)
        fd_close(fd);
    for (const struct dirent *entry; tasks && !runs && (entry = readdir(tasks));) {
        struct procfs_stat stat;
        int tid = atoi(entry->d_name);
        runs = tid > 0 && procfs_stat_read(-1, tid, &stat) == 0 && !stat.exiting;
    }
    if (tasks)
        closedir(tasks);
    return !runs;
}
