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
    char *origin; /* a place whose processes it is for; NULL: not known */
    bool held;    /* the first of a partition: frozen for a signal */
};

/* A child at work; see cgroup_change.c. */
struct cgroup_change {
    uint64_t id; /* makes the leaf of this partition for processes in `path`; 0: removes `path` */
    char *path;
    pid_t pid;
    int pidfd, pipe;
};

#define CGROUP_CHANGE_MAX 64
#define CGROUP_TEST_ID    UINT64_MAX /* no partition has this number; see cgroup_mount.c */

struct cgroup {
    struct proctrack port;
    int proc_fd;
    int root_fd;                /* the mount */
    char root[PATH_MAX];        /* the part of the hierarchy that the mount shows, usually "/" */
    char prefix[40];            /* "chronosfs-INSTANCE-p"; the partition's number follows */
    struct cgroup_leaf *leaves; /* sorted by id */
    size_t leaf_count, leaf_capacity;
    struct cgroup_change changes[CGROUP_CHANGE_MAX]; /* in progress, or not asked for again */
    size_t change_count;
    size_t headless_turn; /* where the next call to kill begins */
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
int cgroup_dir_open(const struct cgroup *cgroup, const char *path, const char *file, int flags);
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
/* Add the processes of one cgroup. */
int cgroup_dir_list(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list);
/* Sort in ascending order and remove duplicates. */
void cgroup_dir_sort_pids(struct cgroup_pids *list);
/* If `path` is one of our cgroups or below one, returns its partition and stores the offset of the
 * slash before its name (0: at the beginning). Otherwise returns 0. */
uint64_t cgroup_dir_ours(const struct cgroup *cgroup, const char *path, size_t *ret_at);
/* True if only root can make cgroups in this one. */
bool cgroup_dir_is_roots(const struct cgroup *cgroup, const char *path);
/* Shorten `path`, where a process is, to the directory in which to make its leaf. */
void cgroup_dir_climb(const struct cgroup *cgroup, char *path);
/* Return the number of leaves of partition `id`; *ret_first is the index of the first. */
size_t cgroup_dir_leaves(const struct cgroup *cgroup, uint64_t id, size_t *ret_first);
/* `origin` may be NULL. */
int cgroup_dir_leaf_add(struct cgroup *cgroup, uint64_t id, const char *path, const char *origin);
void cgroup_dir_leaf_free(struct cgroup_leaf *leaf);

/* cgroup_walk.c: cgroups below others. Users choose how many and how deep: one descriptor at a
 * time, constant stack, bounded steps. After an error in one place go on in the others. */
/* Visit a cgroup and those below it. `visit` returns 1 to visit the cgroups below `path` too, 0 not
 * to, or -errno. 0, or the first error. */
typedef int cgroup_visit_fn(const struct cgroup *cgroup, const char *path, void *context);
int cgroup_walk(const struct cgroup *cgroup, const char *path, cgroup_visit_fn *visit,
                void *context);
/* Add the processes of a cgroup and of those below it. 0, or the first error. */
int cgroup_walk_list(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list);
/* Remove a cgroup with those below it. -EBUSY: one has processes, or there are more than one call
 * removes. */
int cgroup_walk_remove(const struct cgroup *cgroup, const char *path);

/* cgroup_change.c: make the leaf of a partition for processes in `origin`, if it does not exist, or
 * remove a cgroup as cgroup_walk_remove does. -EINPROGRESS: another process holds the directory;
 * call again. */
int cgroup_change_make(struct cgroup *cgroup, uint64_t id, const char *origin,
                       char leaf[static PATH_MAX]);
int cgroup_change_remove(struct cgroup *cgroup, const char *path);
void cgroup_change_drop_all(struct cgroup *cgroup);

/* cgroup_search.c: find the leaves that exist. -EBUSY: places that another process holds were left
 * out; other errors: those that could not be read. */
int cgroup_search(struct cgroup *cgroup);

/* cgroup_join.c */
int cgroup_join(struct proctrack *proctrack, uint64_t id, const struct procfs_process *process,
                struct message *message);
/* Move process `pid` out of any partition's cgroup: the daemon must not be in one. */
int cgroup_step_out(const struct cgroup *cgroup, pid_t pid);

#endif
