/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the cgroup adapter. Paths of cgroups are relative to the mount, without a
 * slash at either end; "" is the mount itself.
 */
#ifndef CHRONOS_PROCTRACK_CGROUP_H
#define CHRONOS_PROCTRACK_CGROUP_H

#include "adapter.h"
#include "core/base/procfs.h"

#include <limits.h>

/* A cgroup of ours: all processes in it belong to partition `id`. A partition has one for each
 * place that its members came from. */
struct cgroup_leaf {
    uint64_t id;
    char *path;
};

struct cgroup {
    struct proctrack port;
    int proc_fd;
    int root_fd;                /* the mount */
    char root[PATH_MAX];        /* the part of the hierarchy that the mount shows, usually "/" */
    char prefix[40];            /* "chronosfs-INSTANCE-p"; the partition's number follows */
    struct cgroup_leaf *leaves; /* sorted by id */
    size_t leaf_count, leaf_capacity;
    struct steps steps;
};

struct cgroup_pids {
    pid_t *pids;
    size_t count, capacity;
};

/* cgroup_mount.c: find a usable mount. */
int cgroup_mount_open(struct cgroup *cgroup, const struct proctrack_options *options,
                      struct message *message);

/* cgroup_dir.c: directories and files of the tree. */
int cgroup_dir_write(const struct cgroup *cgroup, const char *path, const char *file,
                     const char *text);
/* Read up to size - 1 bytes. Return the length or -errno. */
int cgroup_dir_read(const struct cgroup *cgroup, const char *path, const char *file, char *text,
                    size_t size);
/* True if the line "WORD NUMBER" of a file has a number other than 0; with an empty `word`, if the
 * file itself does. */
bool cgroup_dir_flag(const struct cgroup *cgroup, const char *path, const char *file,
                     const char *word);
/* Find the cgroup of a process. Return -ESRCH, or -EXDEV if it is not below the mount. */
int cgroup_dir_of(const struct cgroup *cgroup, pid_t pid, char path[static PATH_MAX]);
/* Add the processes of a cgroup and of those below it. */
int cgroup_dir_list(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list);
/* Sort in ascending order and remove duplicates. */
void cgroup_dir_sort_pids(struct cgroup_pids *list);
int cgroup_dir_remove(const struct cgroup *cgroup, const char *path);
/* If `path` is one of our cgroups or below one, returns its partition and stores the offset of the
 * slash before its name (0: at the beginning). Otherwise returns 0. */
uint64_t cgroup_dir_ours(const struct cgroup *cgroup, const char *path, size_t *ret_at);
/* Shorten `path`, where a process is, to the directory in which to make its leaf. */
void cgroup_dir_climb(const struct cgroup *cgroup, const struct procfs_ids *ids, char *path);
/* Find the leaves that exist. */
int cgroup_dir_walk(struct cgroup *cgroup);
int cgroup_dir_leaf_add(struct cgroup *cgroup, uint64_t id, const char *path);

/* cgroup_join.c */
int cgroup_join(struct proctrack *proctrack, uint64_t id, const struct procfs_process *process,
                struct message *message);
/* Move process `pid` out of any partition's cgroup: the daemon must not be in one. */
int cgroup_step_out(const struct cgroup *cgroup, pid_t pid);

#endif
