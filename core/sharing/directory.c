/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that only this user can change; see directory.h. */
#include "directory.h"

#include "core/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory above may be sticky, as /tmp is: then others cannot replace what is ours in it. */
static bool is_ours(int dir, bool last)
{
    struct stat st;

    if (fstat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return false;
    if (st.st_uid != geteuid() && (last || st.st_uid != 0))
        return false;
    return (st.st_mode & 022) == 0 || (!last && st.st_mode & S_ISVTX);
}

static int enter(int dir, const char *name, bool make)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int next = openat(dir, name, flags);

    if (next < 0 && errno == ENOENT && make) {
        if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
            return -errno;
        next = openat(dir, name, flags);
        if (next >= 0 && is_ours(next, true) && fchmod(next, 0755) != 0) /* despite the umask */
            next = fd_close(next);
    }
    return next >= 0 ? next : errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
}

int directory_open(const char *path, bool make)
{
    char rest[PATH_MAX];

    if (path[0] != '/' || strlen(path) >= sizeof(rest))
        return -EINVAL;
    memcpy(rest, path, strlen(path) + 1);
    int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    char *at = NULL;
    for (char *name = strtok_r(rest, "/", &at); name;) {
        char *following = strtok_r(NULL, "/", &at);
        int next = enter(dir, name, make);

        fd_close(dir);
        if (next < 0)
            return next;
        dir = next;
        if (!is_ours(dir, !following)) {
            fd_close(dir);
            return -EPERM;
        }
        name = following;
    }
    return dir;
}

int directory_clear(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    int r = 0;

    if (!list) {
        r = -errno;
        fd_close(copy);
        return r;
    }
    while ((entry = readdir(list)))
        if (entry->d_type != DT_DIR && unlinkat(dir, entry->d_name, 0) != 0 && errno != ENOENT)
            r = -errno;
    closedir(list);
    return r;
}
