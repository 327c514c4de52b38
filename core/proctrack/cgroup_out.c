/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Let a process leave its leaf, for the cgroup that it came from, with its descendants there. They
 * may fork and end while this looks: first the process itself moves, so that its next children are
 * born outside, then what is found below it, until nothing is. Only for a child, as cgroup_place.c.
 */
#include "cgroup.h"
#include "kin.h"

#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Looks at the leaf. Each finds children that were born before their parent moved. */
#define ROUNDS 32

/* Whether a process may leave was decided when this began, and can be decided otherwise while a
 * user holds a directory on the way: it must ask again. The daemon ends this child then, but may
 * have ended itself. */
#define LEAVE_MAX_NS NS_PER_SECOND

struct out {
    const struct cgroup *cgroup;
    struct cgroup_leaf leaf; /* fd and path only */
    int target;
    char place[PATH_MAX]; /* the target's path */
    uint32_t uid;
    struct cgroup_pids moved;
    struct kin *list; /* of the leaf, and those that moved */
    size_t count;
};

/* Move process `pid` that started at `start`. The kernel takes a pid, which may belong to another
 * process by then: that one goes back to where its parent is. */
static int move(const struct out *out, pid_t pid, uint64_t start)
{
    char text[16];
    struct procfs_stat stat;
    snprintf(text, sizeof(text), "%d", pid);
    steps_before(&out->cgroup->steps, "move");
    int r = cgroup_dir_write(out->target, "cgroup.procs", text);
    steps_before(&out->cgroup->steps, "moved");
    if (r || procfs_stat_read(out->cgroup->proc_fd, pid, &stat) != 0 || stat.start == start)
        return r;
    cgroup_place_move_back(out->cgroup, out->place, pid);
    return -ESRCH;
}

/* Make a cgroup again, with those above it: systemd removes the cgroup of a unit when its last
 * process has joined a partition. It is the owner's of the directory above it, if that is `uid`. */
static int make_again(const struct cgroup *cgroup, const char *path, uint32_t uid)
{
    char part[PATH_MAX];
    struct stat above, info;
    int r = 0;
    if (fstat(cgroup->root_fd, &above) != 0)
        return -errno;
    for (const char *end = path; !r && *end; above = info) {
        end = strchrnul(end + 1, '/');
        snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
        bool made = mkdirat(cgroup->root_fd, part, 0755) == 0;
        int fd = made || errno == EEXIST ? cgroup_place_open(cgroup, part)
                 : errno == EAGAIN       ? -ENOSPC /* of a user's cgroup.max.descendants */
                                         : -errno;
        if (fd >= 0 && made && above.st_uid == uid &&
            fchownat(fd, "", above.st_uid, above.st_gid, AT_EMPTY_PATH) != 0) {
            /* then it stays root's */
        }
        r = fd < 0 ? fd : fstat(fd, &info) != 0 ? -errno : 0;
        fd_close(fd);
    }
    return r ? r : cgroup_place_open(cgroup, path);
}

/* Open the cgroup that the leaf's members came from. What others could have put in its place is
 * refused: its owner can end what is in it. So is one that is not known: anywhere else the limits
 * that count there would be lost. */
static int target_open(struct out *out, uint32_t uid)
{
    struct stat info;
    if (!cgroup_dir_origin(out->leaf.fd, out->place))
        return -ENODATA;
    int fd = cgroup_place_open(out->cgroup, out->place);
    if (fd == -ENOENT)
        fd = make_again(out->cgroup, out->place, uid);
    int r = fd < 0 ? 0 : fstat(fd, &info) != 0 ? -errno : 0;
    if (fd >= 0 && !r && info.st_uid != 0 && info.st_uid != uid)
        r = -EPERM;
    if (r)
        fd_close(fd);
    return r ? r : fd;
}

/* Read the members of the leaf, and whose children they are. */
static int list_read(struct out *out)
{
    struct cgroup_pids pids = {.pids = NULL};
    struct procfs_stat stat;
    int r = cgroup_dir_list_leaf(out->cgroup, &out->leaf, &pids);
    free(out->list);
    out->list = calloc(pids.count + out->moved.count + 1, sizeof(*out->list));
    out->count = 0;
    for (size_t i = 0; !r && out->list && i < pids.count; i++) {
        r = procfs_stat_read(out->cgroup->proc_fd, pids.pids[i], &stat);
        if (!r)
            out->list[out->count++] =
                (struct kin){.pid = stat.pid, .ppid = stat.ppid, .start = stat.start};
        r = r == -ESRCH ? 0 : r;
    }
    free(pids.pids);
    if (!out->list)
        return -ENOMEM;
    kin_sort(out->list, out->count);
    const size_t members = out->count;
    for (size_t i = 0; i < out->moved.count; i++) {
        pid_t pid = out->moved.pids[i];
        if (!kin_find(out->list, members, pid)) /* or the pid is another process's */
            out->list[out->count++] = (struct kin){.pid = pid, .is = KIN_YES};
    }
    kin_sort(out->list, out->count);
    return r;
}

static bool may_move(const struct out *out, const struct kin *member)
{
    struct procfs_process process;
    if (member->is != KIN_YES || member->start == 0 ||
        procfs_process_read(out->cgroup->proc_fd, member->pid, &process, NULL) != 0 ||
        process.start != member->start)
        return false;
    return out->uid == CGROUP_ANY_UID ||
           (process.uid == out->uid && process.euid == out->uid && process.suid == out->uid);
}

static int note_moved(struct out *out, pid_t pid)
{
    struct cgroup_pids *moved = &out->moved;
    if (array_reserve(moved->pids, moved->capacity, moved->count + 1))
        return -ENOMEM;
    moved->pids[moved->count++] = pid;
    return 0;
}

/* Return how many moved, or -errno. */
static int round_of(struct out *out)
{
    size_t before = out->moved.count;
    int r = list_read(out);
    if (!r)
        kin_mark(out->list, out->count);
    for (size_t i = 0; !r && i < out->count; i++) {
        const struct kin *member = &out->list[i];
        if (may_move(out, member) && move(out, member->pid, member->start) == 0)
            r = note_moved(out, member->pid);
    }
    return r ? r : (int)(out->moved.count - before);
}

/* The process itself. */
static int first(struct out *out, pid_t pid, uint64_t start)
{
    char path[PATH_MAX];
    struct procfs_stat stat;
    if (procfs_stat_read(out->cgroup->proc_fd, pid, &stat) != 0 || stat.start != start)
        return -ESRCH;
    int r = cgroup_dir_of(out->cgroup, pid, path);
    if (r || !cgroup_dir_is_below(path, out->leaf.path))
        return r; /* it has left already */
    r = move(out, pid, start);
    return r ? r : note_moved(out, pid);
}

int cgroup_out(const struct cgroup *cgroup, const char *path, pid_t pid, uint64_t start,
               uint32_t uid)
{
    struct out out = {.cgroup = cgroup,
                      .leaf = {.fd = cgroup_place_open_ours(cgroup, path), .path = (char *)path},
                      .target = -1,
                      .uid = uid};
    struct procfs_process process;
    const int64_t until_ns = clock_monotonic_ns() + LEAVE_MAX_NS;
    int r = out.leaf.fd;
    steps_before(&cgroup->steps, "leave");
    if (r >= 0)
        r = procfs_process_read(cgroup->proc_fd, pid, &process, NULL);
    if (r >= 0)
        r = out.target = target_open(&out, process.uid);
    if (r >= 0)
        r = clock_monotonic_ns() < until_ns ? first(&out, pid, start) : -EBUSY;
    bool moved = !r && out.moved.count > 0;
    for (int i = 0; moved && i < ROUNDS; i++)
        moved = round_of(&out) > 0;
    fd_close(out.target);
    fd_close(out.leaf.fd);
    free(out.moved.pids);
    free(out.list);
    return r;
}
