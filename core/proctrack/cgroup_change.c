/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make and remove cgroups in a process of their own. Both take the kernel's lock of a directory. A
 * user who lists that directory into memory that never answers (a page of a FUSE file) holds the
 * lock, and then the call waits where not even SIGKILL ends it. So start a child for each call, and
 * come back for its result. Leaves are not listable by users; the directories of others in which
 * they are made usually are.
 */
#include "cgroup.h"

#include "core/base/fd.h"
#include "core/base/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Wait this long for a child: in a directory that is not held it has ended by then. */
#define WAIT_MS 5

/* Users can list a leaf's directory only if they may read it; its files they may. */
#define LEAF_MODE 0711

/* The result of a child that has ended, or -EINPROGRESS. */
static int result_of(const struct cgroup_change *change)
{
    int status;
    pid_t pid = waitpid(change->pid, &status, WNOHANG);
    if (pid == 0)
        return -EINPROGRESS;
    return pid > 0 && WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static void drop(struct cgroup *cgroup, struct cgroup_change *change)
{
    fd_close(change->pidfd);
    fd_close(change->pipe);
    free(change->path);
    *change = cgroup->changes[--cgroup->change_count];
}

/* End with the result of a change: what its child wrote, or -errno. */
static int take(struct cgroup *cgroup, struct cgroup_change *change, int r, char *ret_leaf)
{
    if (!r && ret_leaf) {
        ssize_t length = read(change->pipe, ret_leaf, PATH_MAX - 1);
        ret_leaf[length > 0 ? length : 0] = '\0';
        r = length > 0 ? 0 : -EIO;
    }
    drop(cgroup, change);
    return r;
}

static size_t parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* Whether two changes may need the lock of the same directory. */
static bool is_beside(const struct cgroup_change *change, uint64_t id, const char *path)
{
    if (change->id && id)
        return strcmp(change->path, path) == 0;
    size_t length = parent_length(change->path);
    return !change->id && !id && parent_length(path) == length &&
           strncmp(change->path, path, length) == 0;
}

/* Find the result of an earlier call for the same change: -ENOENT if there was none, -EINPROGRESS
 * also while another one waits for the same directory. Forget what ended and was not asked for. */
static int find(struct cgroup *cgroup, uint64_t id, const char *path, char *ret_leaf)
{
    int r = cgroup->change_count == CGROUP_CHANGE_MAX ? -EINPROGRESS : -ENOENT;
    bool found = false;
    for (size_t i = cgroup->change_count; i-- > 0;) {
        struct cgroup_change *change = &cgroup->changes[i];
        bool same = change->id == id && strcmp(change->path, path) == 0;
        int result = result_of(change);
        if (result == -EINPROGRESS) {
            r = found || !(same || is_beside(change, id, path)) ? r : result;
        } else if (same) {
            found = true;
            r = take(cgroup, change, result, ret_leaf);
        } else {
            drop(cgroup, change);
        }
    }
    return r;
}

/* In the child: make the leaf, and look it up, so that the daemon finds it in the kernel's cache.
 */
static int make(const struct cgroup *cgroup, uint64_t id, const char *origin, int pipe)
{
    char place[PATH_MAX], leaf[PATH_MAX];
    struct stat info;
    snprintf(place, sizeof(place), "%s", origin);
    cgroup_dir_climb(cgroup, place);
    int length = snprintf(leaf, sizeof(leaf), "%s%s%s%llu", place, place[0] == '\0' ? "" : "/",
                          cgroup->prefix, (unsigned long long)id);
    if (length >= (int)sizeof(leaf))
        return -ENAMETOOLONG;
    if (mkdirat(cgroup->root_fd, leaf, LEAF_MODE) != 0 && errno != EEXIST)
        return -errno;
    if (fstatat(cgroup->root_fd, leaf, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    return write(pipe, leaf, (size_t)length) == length ? 0 : -EIO;
}

static int start(struct cgroup *cgroup, uint64_t id, const char *path)
{
    int pipes[2];
    char *copy = strdup(path);
    if (!copy || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(copy);
        return copy ? -errno : -ENOMEM;
    }
    pid_t pid = fork();
    if (pid == 0) {
        const int keep[] = {cgroup->root_fd, pipes[1]};
        fd_close_others(0, keep, 2);
        _exit(-(id ? make(cgroup, id, path, pipes[1]) : cgroup_walk_remove(cgroup, path)));
    }
    int r = pid < 0 ? -errno : 0;
    fd_close(pipes[1]);
    if (r) {
        fd_close(pipes[0]);
        free(copy);
        return r;
    }
    cgroup->changes[cgroup->change_count++] = (struct cgroup_change){
        .id = id, .path = copy, .pid = pid, .pidfd = pidfd_new(pid), .pipe = pipes[0]};
    return 0;
}

static int change(struct cgroup *cgroup, uint64_t id, const char *path, char *ret_leaf)
{
    int r = find(cgroup, id, path, ret_leaf);
    if (r != -ENOENT)
        return r;
    r = start(cgroup, id, path);
    if (r)
        return r;
    struct cgroup_change *started = &cgroup->changes[cgroup->change_count - 1];
    if (started->pidfd >= 0)
        poll(&(struct pollfd){.fd = started->pidfd, .events = POLLIN}, 1, WAIT_MS);
    r = result_of(started);
    return r == -EINPROGRESS ? r : take(cgroup, started, r, ret_leaf);
}

int cgroup_change_make(struct cgroup *cgroup, uint64_t id, const char *origin,
                       char leaf[static PATH_MAX])
{
    return change(cgroup, id, origin, leaf);
}

int cgroup_change_remove(struct cgroup *cgroup, const char *path)
{
    return change(cgroup, 0, path, NULL);
}

void cgroup_change_drop_all(struct cgroup *cgroup)
{
    while (cgroup->change_count > 0)
        drop(cgroup, &cgroup->changes[0]);
}
