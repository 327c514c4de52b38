/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the cgroup adapter. Paths of cgroups are relative to the mount, without a
 * slash at either end; "" is the mount itself.
 */
#ifndef CHRONOS_PROCTRACK_CGROUP_H
#define CHRONOS_PROCTRACK_CGROUP_H

#include "adapter.h"
#include "core/base/boot_id.h"
#include "core/base/child.h"
#include "core/base/procfs.h"

#include <limits.h>
#include <sys/stat.h>

/* A cgroup of ours: all processes in it belong to the partitions that its name lists. There is one
 * for each set of partitions and each place that the members came from. For each of the partitions
 * there is one of these, with the same path. */
struct cgroup_leaf {
    uint64_t id;
    uint32_t account; /* of its last member from outside; CGROUP_NO_ACCOUNT: not known */
    int fd;           /* its directory (O_PATH), which takes no path to reach */
    char *path;
    char *origin; /* the place that its processes came from; NULL: several, or not known */
    bool frozen;  /* for this partition; it is, while it is for any */
    bool held;    /* the first of a partition: frozen for a signal */
};

/* A cgroup of others that was given to a partition. */
enum cgroup_file { CGROUP_DIR, CGROUP_PROCS, CGROUP_EVENTS, CGROUP_KILL, CGROUP_FILES };
struct cgroup_claim {
    uint64_t id, inode;
    char *path;
    int files[CGROUP_FILES];
};

/* What a child does: make a leaf (`path`: its name and the origin), remove the cgroup `path`, move
 * process `id` out of the leaf `path` into which it was moved by mistake, or out of
 * whatever leaf it is in, let it leave the leaf `path`, or open the cgroup `path` of others. */
enum cgroup_task {
    CGROUP_MAKE = 1,
    CGROUP_REMOVE,
    CGROUP_MOVE_BACK,
    CGROUP_STEP_OUT,
    CGROUP_LEAVE,
    CGROUP_CLAIM
};

/* A child; see cgroup_change.c. */
struct cgroup_child {
    enum cgroup_task task; /* 0: it waits for one */
    uint64_t id;
    uint32_t account;
    int64_t numbers[2];
    char *path;
    struct child child;
};

#define CGROUP_CHILD_MAX  256
#define CGROUP_ORIGIN_MAX 32 /* leaves of a partition that are for one origin each */
#define CGROUP_SETS_MAX   64 /* leaves of a partition beyond which there is none for another set */
#define CGROUP_NAME_MAX   (NAME_MAX + 1)
#define CGROUP_ANY_UID    UINT32_MAX
#define CGROUP_NO_ACCOUNT UINT32_MAX
#define CGROUP_TEST_ID    UINT64_MAX /* no partition has this number; see cgroup_mount.c */

struct cgroup {
    struct proctrack port;
    int proc_fd;
    int root_fd;                /* the mount */
    char root[PATH_MAX];        /* the part of the hierarchy that the mount shows, usually "/" */
    char mount[PATH_MAX];       /* where that is */
    char prefix[40];            /* "chronosfs-INSTANCE-p"; the partition's number follows */
    struct cgroup_leaf *leaves; /* sorted by id */
    size_t leaf_count, leaf_capacity;
    size_t leaf_max;         /* each keeps a descriptor */
    proctrack_owns_fn *owns; /* as in the options */
    void *owns_context;
    struct cgroup_claim *claims; /* sorted by id */
    size_t claim_count, claim_capacity;
    int state_fd;           /* the state directory; -1: none, or not to be written yet */
    char boot[BOOT_ID_MAX]; /* for tests; "": the machine's */
    struct cgroup_child children[CGROUP_CHILD_MAX];
    size_t child_count;
    size_t headless_turn; /* where the next call to kill begins */
    struct steps steps;
};

struct cgroup_packet;
struct cgroup_pids {
    pid_t *pids;
    size_t count, capacity;
};

/* cgroup_mount.c: find a usable mount. */
int cgroup_mount_open(struct cgroup *cgroup, const struct proctrack_options *options,
                      struct message *message);

/* cgroup_dir.c: files of a directory behind a descriptor. Only leaves, in which no user can hold a
 * lock, except in a child. */
int cgroup_dir_write(int dir, const char *file, const char *text);
/* Read up to size - 1 bytes. Return the length or -errno. */
int cgroup_dir_read(int dir, const char *file, char *text, size_t size);
/* Return 1 if the line "WORD NUMBER" of a file has a number other than 0 (with an empty `word`, if
 * the file itself does), 0 if not, or -errno. */
int cgroup_dir_flag(int dir, const char *file, const char *word);
/* Find the cgroup of a process. Return -ESRCH, or -EXDEV if it is not below the mount. */
int cgroup_dir_of(const struct cgroup *cgroup, pid_t pid, char path[static PATH_MAX]);
/* Add the processes of one cgroup. */
int cgroup_dir_list(int dir, struct cgroup_pids *list);
/* The same from its open file cgroup.procs, which is closed. */
int cgroup_dir_list_file(int fd, struct cgroup_pids *list);
/* Ask each process of the machine whether it is in `path` or below. */
int cgroup_dir_list_below(const struct cgroup *cgroup, const char *path, struct cgroup_pids *list);
/* Add the processes of a leaf and of cgroups below it. */
int cgroup_dir_list_leaf(const struct cgroup *cgroup, const struct cgroup_leaf *leaf,
                         struct cgroup_pids *list);
/* Sort in ascending order and remove duplicates. */
void cgroup_dir_sort_pids(struct cgroup_pids *list);
/* True if `path` is `top` or below it. */
bool cgroup_dir_is_below(const char *path, const char *top);
bool cgroup_dir_is_roots(const struct stat *info);
/* The place that the processes of a leaf came from is kept at its directory, so that a restarted
 * daemon knows it. False: not known. `dir` may be O_PATH. */
bool cgroup_dir_origin(int dir, char origin[static PATH_MAX]);
/* Set it where it is not known, if no process is there. */
void cgroup_dir_origin_set(int dir, const char *origin);

/* cgroup_leaf.c: the leaves that we made, or found at the start, by their paths. */
/* Return the number of leaves of partition `id`; *ret_first is the index of the first. */
size_t cgroup_leaf_of(const struct cgroup *cgroup, uint64_t id, size_t *ret_first);
/* Read the partitions that a name of ours is for. Return the first; 0: it is not one of ours. */
uint64_t cgroup_leaf_name(const struct cgroup *cgroup, const char *name, size_t length,
                          struct proctrack_set *ret_set);
/* Write the name for a set, without what distinguishes origins. */
void cgroup_leaf_name_for(const struct cgroup *cgroup, const struct proctrack_set *set,
                          char name[static CGROUP_NAME_MAX]);
/* The partitions of a leaf. */
struct proctrack_set cgroup_leaf_set(const struct cgroup *cgroup, const struct cgroup_leaf *leaf);
/* Return the entry of another partition of this leaf, or NULL. */
struct cgroup_leaf *cgroup_leaf_for(const struct cgroup *cgroup, uint64_t id, const char *path);
/* Return the leaf that a path is or is below, or NULL. */
struct cgroup_leaf *cgroup_leaf_at(const struct cgroup *cgroup, const char *path);
/* Add a leaf for each partition of its name, or update those with this path. Takes over `fd`, also
 * on an error. `origin` may be NULL. -EMFILE: too many leaves, of all or of this account. */
int cgroup_leaf_add(struct cgroup *cgroup, uint32_t account, int fd, const char *path,
                    const char *origin);
/* Return how many descriptors leaves and claims use. */
size_t cgroup_leaf_files(const struct cgroup *cgroup);
/* Add a leaf that was made or found: with the origin that is noted at it, and frozen if one of its
 * partitions is. */
int cgroup_leaf_keep(struct cgroup *cgroup, uint32_t account, int fd, const char *path);
void cgroup_leaf_free(struct cgroup_leaf *leaf);
/* Drop the leaf for all of its partitions. `path` must not be the leaf's own. */
void cgroup_leaf_drop(struct cgroup *cgroup, const char *path);
/* Freeze the leaves of a partition, or thaw those that no other wants frozen. */
int cgroup_leaf_freeze(struct cgroup *cgroup, uint64_t id, bool frozen);
bool cgroup_leaf_is_frozen(const struct cgroup *cgroup, uint64_t id);

/* cgroup_place.c: directories of others, only for a child: users can hold their locks. */
int cgroup_place_open(const struct cgroup *cgroup, const char *path);
/* -EEXIST: not made by us. */
int cgroup_place_open_ours(const struct cgroup *cgroup, const char *path);
/* Open the directory and the files of a cgroup of others. */
int cgroup_place_claim(const struct cgroup *cgroup, const char *path, uint64_t inode,
                       struct cgroup_packet *packet);
/* If `path` is one of our cgroups or below one, returns its partition and stores the offset of the
 * slash before its name (0: at the beginning). Otherwise returns 0. */
uint64_t cgroup_place_ours(const struct cgroup *cgroup, const char *path, size_t *ret_at);
/* True if only root can make cgroups in this one. */
bool cgroup_place_is_roots(const struct cgroup *cgroup, const char *path);
/* Make the leaf `name` for processes in `origin`, if it does not exist; with `shared` one for
 * several origins. Return a descriptor of it; -EEXIST if another user made it. */
int cgroup_place_make(const struct cgroup *cgroup, const char *name, const char *origin,
                      bool shared, char ret_leaf[static PATH_MAX]);
/* A pid was reused and the wrong process moved to `leaf`: move it back. */
int cgroup_place_move_back(const struct cgroup *cgroup, const char *leaf, pid_t pid);
/* Move process `pid` out of any partition's cgroup. */
int cgroup_place_step_out(const struct cgroup *cgroup, pid_t pid);

/* cgroup_out.c, for a child: move process `pid` out of the leaf `path`, back to where it came from,
 * with its descendants there: all, or those that `uid` owns. -ESRCH: another process has the pid.
 */
int cgroup_out(const struct cgroup *cgroup, const char *path, pid_t pid, uint64_t start,
               uint32_t uid);

/* cgroup_walk.c: cgroups below others. Users choose how many and how deep: one descriptor at a
 * time, constant stack, bounded steps. After an error in one place go on in the others. */
/* Visit a cgroup and those below it. `visit` returns 1 to visit the cgroups below `path` too, 0 not
 * to, or -errno. 0, or the first error. */
typedef int cgroup_visit_fn(const struct cgroup *cgroup, const char *path, void *context);
int cgroup_walk(const struct cgroup *cgroup, const char *path, cgroup_visit_fn *visit,
                void *context);
/* Remove a cgroup with those below it. -EBUSY: one has processes, or there are more than one call
 * removes. */
int cgroup_walk_remove(const struct cgroup *cgroup, const char *path);

/* cgroup_packet.c: over a socket between a child and its parent. To the child: a task, its numbers
 * and path. To the parent: a result and the path of a leaf, perhaps with a descriptor. */
struct cgroup_packet {
    int fds[CGROUP_FILES]; /* up to the first that is -1 */
    int64_t head[4];
    char path[PATH_MAX];
};

/* Waits. -EPIPE: the other end is closed. */
int cgroup_packet_send(int socket, const struct cgroup_packet *packet);
/* -EAGAIN: nothing is there; -EPIPE: nothing will be. The caller closes packet->fds. */
int cgroup_packet_receive(int socket, struct cgroup_packet *packet);
/* Close the descriptors, and set them to -1. */
void cgroup_packet_close(struct cgroup_packet *packet);

/* cgroup_change.c: have a child do what can wait for a directory that a user holds. Each returns
 * -EINPROGRESS if it does, or if the account has too many such changes: call again. Each can add
 * leaves, and so move others: no pointer to one stays valid. */
/* Make a leaf as cgroup_place_make does, and keep it. */
int cgroup_change_make(struct cgroup *cgroup, const struct proctrack_set *set, uint32_t account,
                       const char *origin, bool shared, struct cgroup_leaf **ret_leaf);
/* Keep what was made for partition `id` after its call. -EINPROGRESS: something is being made. */
int cgroup_change_made(struct cgroup *cgroup, uint64_t id);
/* As cgroup_out; without a leaf, go on with what was begun, if anything was. */
int cgroup_change_leave(struct cgroup *cgroup, uint32_t account, const char *leaf,
                        const struct procfs_process *process, uint32_t uid);
/* End what cgroup_change_leave began for this process: it does nothing more. */
void cgroup_change_stay(struct cgroup *cgroup, const struct procfs_process *process);
/* Remove the cgroup of a leaf as cgroup_walk_remove does, and then drop the leaf. */
int cgroup_change_remove(struct cgroup *cgroup, const struct cgroup_leaf *leaf);
/* Open the files of a cgroup of others, if its inode is this (0: any); fills in ret_claim->inode
 * and
 * ->files. -ESTALE: it has another inode; -EOPNOTSUPP: it holds threads. */
int cgroup_change_claim(struct cgroup *cgroup, const char *path, uint64_t inode,
                        struct cgroup_claim *ret_claim);
/* Needs not be called again. */
int cgroup_change_move_back(struct cgroup *cgroup, const char *leaf, pid_t pid);
int cgroup_change_step_out(struct cgroup *cgroup, pid_t pid);
void cgroup_change_end_all(struct cgroup *cgroup);

/* cgroup_search.c: find the leaves that exist. -EBUSY: places that another process holds were left
 * out; other errors: those that could not be read. */
int cgroup_search(struct cgroup *cgroup);

/* cgroup_claim.c */
int cgroup_claim(struct proctrack *proctrack, uint64_t id, const char *path,
                 struct message *message);
int cgroup_claims(struct proctrack *proctrack, uint64_t id, proctrack_claim_fn *fn, void *context);
/* Take over those of before the start. -EBUSY: a process holds the directory of one. */
int cgroup_claim_load(struct cgroup *cgroup, const struct proctrack_options *options);
/* Add the processes in the claims of a partition, and below. */
int cgroup_claim_list(const struct cgroup *cgroup, uint64_t id, struct cgroup_pids *list);
/* Add the partitions to which this cgroup belongs, or one above it. */
void cgroup_claim_find(const struct cgroup *cgroup, const char *path, struct proctrack_set *set);
int cgroup_claim_kill(const struct cgroup *cgroup, uint64_t id);
bool cgroup_claim_is_populated(const struct cgroup *cgroup, uint64_t id);
/* Return the first partition above `id` that has a leaf or a claim, or 0. */
uint64_t cgroup_claim_after(const struct cgroup *cgroup, uint64_t id);
void cgroup_claim_forget(struct cgroup *cgroup, uint64_t id);
void cgroup_claim_close(struct cgroup *cgroup);

/* cgroup_claim_file.c: the claims, for the next daemon of this boot. */
/* True if `taken` takes the place of this one. */
bool cgroup_claim_is_before(const struct cgroup_claim *claim, const struct cgroup_claim *taken);
/* Write them; with `taken`, without what had its path before. */
int cgroup_claim_save(const struct cgroup *cgroup, const struct cgroup_claim *taken);
/* Call fn for each line of this boot. 0, or its first error, and -EINPROGRESS before others. */
typedef int cgroup_claim_line_fn(struct cgroup *cgroup, char *line);
int cgroup_claim_read(struct cgroup *cgroup, const struct proctrack_options *options,
                      cgroup_claim_line_fn *fn);

/* cgroup_join.c */
int cgroup_join(struct proctrack *proctrack, const struct proctrack_set *set, uint32_t account,
                const struct procfs_process *process, struct message *message);
int cgroup_join_leave(struct proctrack *proctrack, uint32_t account,
                      const struct procfs_process *process, bool all, struct message *message);

#endif
