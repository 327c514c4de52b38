/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the cgroup adapter share. Paths of cgroups are relative to the
 * mount, without a slash at either end; "" is the mount itself.
 */
#ifndef CHRONOS_PROCTRACK_CGROUP_H
#define CHRONOS_PROCTRACK_CGROUP_H

#include "adapter.h"
#include "core/base/procfs.h"

#include <limits.h>

/* A cgroup of ours: all processes in it belong to partition `id`. A partition has one
 * for each place that its members came from. */
struct cgroup_leaf {
    uint64_t id;
    char *path;
};

struct cgroup {
    struct proctrack port;
    int proc_fd;
    int root_fd;                /* the mount */
    char root[PATH_MAX];        /* what the mount shows of the hierarchy, "/" usually */
    char prefix[40];            /* "chronosfs-INSTANCE-p"; the partition's number follows */
    struct cgroup_leaf *leaves; /* by id */
    size_t leaf_count, leaf_capacity;
    struct steps steps;
};

struct cgroup_pids {
    pid_t *pids;
    size_t count, capacity;
};

/* cgroup_mount.c: which mount, and whether it does what we need. */
int cgroup_mount_open(struct cgroup *cgroup, const struct proctrack_options *options,
                      struct message *message);

/* cgroup_dir.c: directories and files of the tree. */
int cgroup_write(const struct cgroup *cgroup, const char *path, const char *file, const char *text);
/* Up to size - 1 bytes; the length, or -errno. */
int cgroup_read(const struct cgroup *cgroup, const char *path, const char *file, char *text,
                size_t size);
/* Whether a file of lines "word number" says that number is not 0. */
bool cgroup_message(const struct cgroup *cgroup, const char *path, const char *file,
                    const char *word);
/* The cgroup of a process. -ESRCH; -EXDEV it is not below the mount. */
int cgroup_of(const struct cgroup *cgroup, pid_t pid, char path[static PATH_MAX]);
/* Adds the processes of a cgroup and of those below it. */
int cgroup_list(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list);
/* Ascending, each once. */
void cgroup_pids_sort(struct cgroup_pids *list);
int cgroup_remove(const struct cgroup *cgroup, const char *path);
/* If `path` is one of ours or below one: its partition, and where in `path` the slash
 * before its name is (0: at the beginning). Else 0. */
uint64_t cgroup_ours(const struct cgroup *cgroup, const char *path, size_t *ret_at);
/* Shortens `path` (where a process is) to the directory that a leaf for it goes to. */
void cgroup_climb(const struct cgroup *cgroup, const struct procfs_ids *ids, char *path);
/* Finds the leaves that are there. */
int cgroup_walk(struct cgroup *cgroup);
int cgroup_leaf_add(struct cgroup *cgroup, uint64_t id, const char *path);

/* cgroup_join.c */
int cgroup_join(struct proctrack *proctrack, uint64_t id, const struct procfs_process *process,
                struct message *message);
/* Sees to it that the daemon is in no partition itself. */
int cgroup_step_out(const struct cgroup *cgroup, pid_t pid);

#endif
