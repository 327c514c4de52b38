/* SPDX-License-Identifier: Apache-2.0 */
/* Identify callers; see caller.h. A caller waits for our answer, so its pid cannot be reused. */
#include "caller.h"

#include "core/base/boot_id.h"
#include "core/base/fd.h"
#include "core/base/hash.h"
#include "core/base/procfs.h"
#include "core/engine/policy.h"
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Missing in the headers of Debian 12 (kernel 6.11): translates a pid of a pid namespace to
 * ours. */
#define NS_TGID_FROM_PIDNS _IOR(0xb7, 0x7, int)

/* How far up first_ancestor looks. */
#define ANCESTORS_MAX 64

/* Return the inode number of a namespace, unique while the namespace exists; 0 on failure. `pid` 0
 * is this process. */
static uint64_t namespace_of(int32_t pid, const char *kind)
{
    char name[16], path[PROCFS_PATH_MAX];
    struct stat st;
    snprintf(name, sizeof(name), "ns/%s", kind);
    int at = procfs_at(pid ? pid : getpid(), name, path);
    return fstatat(at, path, &st, 0) ? 0 : (uint64_t)st.st_ino;
}

/* Return whether a thread has this effective uid. The uid of a request can be another's: io_uring
 * submits under any identity that was registered in the ring, also by root of a container. */
static bool has_uid(int32_t pid, uint32_t uid)
{
    char path[PROCFS_PATH_MAX];
    struct stat st;
    int at = procfs_at(pid, ".", path);
    return !fstatat(at, path, &st, 0) && st.st_uid == uid;
}

int caller_init(struct tree *tree)
{
    char boot[BOOT_ID_MAX];
    boot_id_read(boot); /* on failure all boots look the same */
    tree->boot_mark = hash_text(HASH_START, boot);
    tree->own_user_ns = namespace_of(0, "user");
    tree->own_pid_ns = namespace_of(0, "pid");
    return tree->own_user_ns && tree->own_pid_ns ? 0 : -ENOENT;
}

/* Read the supplementary groups of a thread of this user namespace. The kernel prints all of them
 * for it. */
static void read_groups(const struct tree *tree, struct caller_groups *groups)
{
    struct procfs_ids ids;
    groups->read = true;
    if (groups->pid <= 0 || namespace_of(groups->pid, "user") != tree->own_user_ns ||
        procfs_ids_read(-1, groups->pid, &ids))
        return;
    groups->groups = ids.groups;
    groups->count = ids.group_count;
}

bool caller_groups_have(const struct tree *tree, struct caller_groups *groups, uint32_t group)
{
    if (groups->gid == group)
        return true;
    if (!groups->read)
        read_groups(tree, groups);
    for (size_t i = 0; i < groups->count; i++)
        if (groups->groups[i] == group)
            return true;
    return false;
}

void caller_groups_release(struct caller_groups *groups)
{
    free(groups->groups);
}

bool caller_in_group(const struct tree *tree, int32_t pid, uint32_t gid, uint32_t group)
{
    struct caller_groups groups = {.pid = pid, .gid = gid};
    bool found = caller_groups_have(tree, &groups, group);
    caller_groups_release(&groups);
    return found;
}

uint64_t caller_namespace(int32_t pid)
{
    return pid > 0 ? namespace_of(pid, "pid") : 0;
}

/* Return the first process of the pid namespace `ns` that `pid` is in, among its ancestors, for
 * kernels without NS_TGID_FROM_PIDNS; 0 if it is not among the nearest. A process that entered the
 * namespace from outside does not descend from it. */
static int32_t first_ancestor(int32_t pid, uint64_t ns)
{
    struct procfs_stat process;
    for (int level = 0; level < ANCESTORS_MAX; level++) {
        if (procfs_stat_read(-1, pid, &process))
            return 0;
        if (namespace_of(process.ppid, "pid") != ns)
            return procfs_inner_pid(-1, pid) == 1 ? pid : 0;
        pid = process.ppid;
    }
    return 0;
}

/* Return an identity of the pid namespace of `pid` that is not reused: a hash of its inode number,
 * the start time of its first process, and the boot. Return ENGINE_NS_UNKNOWN if these cannot be
 * read. */
static uint64_t container_of(const struct tree *tree, int32_t pid)
{
    char path[PROCFS_PATH_MAX];
    struct stat st;
    struct procfs_stat process;
    int fd = openat(procfs_at(pid, "ns/pid", path), path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        fd_close(fd);
        return ENGINE_NS_UNKNOWN;
    }
    int first = ioctl(fd, NS_TGID_FROM_PIDNS, 1);
    close(fd);
    if (first < 0)
        first = first_ancestor(pid, (uint64_t)st.st_ino);
    if (first <= 0 || procfs_stat_read(-1, first, &process))
        return ENGINE_NS_UNKNOWN;
    uint64_t mark = (tree->boot_mark ^ (uint64_t)st.st_ino) * UINT64_C(0x9e3779b97f4a7c15);
    mark = (mark ^ mark >> 29 ^ process.start) * UINT64_C(0xbf58476d1ce4e5b9);
    return mark && mark != ENGINE_NS_UNKNOWN ? mark : 1;
}

int32_t caller_process(int32_t tid)
{
    /* Mostly it is the process's first thread: then process `tid` has a thread `tid`. No signal is
     * sent. */
    if (tid > 0 && (!tgkill(tid, tid, 0) || errno == EPERM))
        return tid;
    pid_t pid = tid > 0 ? procfs_leader(-1, tid) : tid;
    return pid > 0 ? pid : tid;
}

void caller_get(struct tree *tree, uint32_t uid, uint32_t gid, int32_t pid,
                struct caller *ret_caller)
{
    struct caller caller = {.uid = uid, .gid = gid, .pid = pid};
    uint64_t pid_ns = 0;
    bool is_root = uid == 0 || uid == tree->shared->admin_uid;
    /* Callers in other namespaces than the daemon's are neither root nor administrators. */
    if ((is_root || tree->admin_gid != UINT32_MAX) && pid > 0) {
        pid_ns = namespace_of(pid, "pid");
        caller.admin =
            pid_ns == tree->own_pid_ns && namespace_of(pid, "user") == tree->own_user_ns &&
            (is_root ? has_uid(pid, uid) : caller_in_group(tree, pid, gid, tree->admin_gid));
    }
    caller.root = caller.admin && is_root;
    /* A container's root may act only on what its own container requested. */
    if (uid == 0 && !caller.root)
        caller.ns = pid_ns == tree->own_pid_ns ? ENGINE_NS_UNKNOWN : container_of(tree, pid);
    *ret_caller = caller;
}

enum names_result caller_find_admin_group(struct tree *tree)
{
    const char *group = engine_policy(tree->engine)->admin_group;
    uint32_t gid = 0;
    enum names_result result = *group ? names_find_group(tree->names, group, &gid) : NAMES_UNKNOWN;
    /* Keep the last known group during a lookup, and for the next worker. */
    if (result != NAMES_LATER)
        tree->shared->group_gid = result == NAMES_FOUND ? gid + 1 : 0;
    tree->admin_gid = tree->shared->group_gid - 1; /* 0 - 1 is UINT32_MAX: none */
    return result;
}
