/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of files, and walking it. Nothing here knows FUSE, what a file shows (files.h),
 * or the daemon around it (fs/fuse/server.h).
 */
#ifndef CHRONOS_TREE_TREE_H
#define CHRONOS_TREE_TREE_H

#include "event_log.h"
#include "node.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct caller;
struct engine;
struct file_row;
struct gpu_device;
struct host_state;
struct ledger;
struct members;
struct names;
struct partition;
struct refusal;
struct shared;

/* Every device known: those found at the start, then those known from old partitions
 * only. */
#define TREE_DEVICE_MAX (2 * GPU_DEVICE_MAX)

/* A kind of directory: its files, ended by a row without a name, and what it is for. */
struct directory {
    const struct file_row *rows;
    const char *doc;
};
/* All of them: what tree_init wants. */
extern const struct directory tree_table[DIR_KINDS];

#define TREE_FILES_MAX 32 /* in a directory, beside what comes and goes */

/* What files show and change. Owned by the worker's one thread; what it points to belongs
 * to the one who set it. */
struct tree {
    const struct directory *table;
    uint16_t hashes[DIR_KINDS][TREE_FILES_MAX]; /* of the names of the table's rows */
    struct shared *shared;
    struct engine *engine;
    struct names *names;
    struct ledger *ledger;
    const struct members *members;       /* what was last seen of partitions' programs */
    const struct host_state *host_state; /* what there is to keep limits with */
    const struct gpu_device *devices;
    uint32_t device_count;
    struct event_log events, history;
    struct strbuf scratch;
    const struct strbuf *shown;       /* what a file shows, while it is shown */
    uint32_t admin_gid;               /* of config/admin_group; UINT32_MAX none */
    uint64_t boot_mark;               /* differs from boot to boot */
    uint64_t own_user_ns, own_pid_ns; /* inode numbers of the daemon's namespaces */
    bool names_remembered;            /* the kernel can be told to forget names */
    int64_t now_ns;                   /* CLOCK_BOOTTIME at the start of the request */
    int64_t offset_ns;                /* CLOCK_REALTIME - CLOCK_BOOTTIME */
};

/* Makes it of these directories; all else is zero. */
void tree_init(struct tree *tree, const struct directory table[DIR_KINDS]);
int64_t tree_wall_ns(const struct tree *tree); /* of now_ns */
/* The row of a file node, or NULL. */
const struct file_row *tree_row(const struct tree *tree, const struct node *node);
/* The partition a node belongs to, alive, or NULL. */
const struct partition *tree_partition(struct tree *tree, const struct node *node);
/* "p12": its number, 0 when the text is none. */
uint64_t tree_partition_number(const char *text, size_t length);

/* -- walking --------------------------------------------------------------- */

/* The child `name` of a directory. False when there is none. */
bool tree_lookup(struct tree *tree, const struct node *dir, const char *name,
                 struct node *ret_child);
/* Whether what the node names exists now. */
bool tree_alive(struct tree *tree, const struct node *node);
/* The next entry of a directory after `cookie` (0: from the start): its name, its
 * node and the cookie that continues after it. False at the end. */
bool tree_next_child(struct tree *tree, const struct node *dir, uint64_t cookie, char *name,
                     size_t size, struct node *ret_child, uint64_t *ret_cookie);
/* The directory a directory is in. */
struct node tree_parent(struct tree *tree, const struct node *dir);
/* Where the link of a partition points. */
void tree_link_target(const struct partition *partition, char *text, size_t size);

/* -- attributes ------------------------------------------------------------ */

struct attributes {
    uint64_t id;
    mode_t mode; /* with the type */
    uint32_t uid, gid;
    uint64_t size, blocks;
    int64_t mtime_ns, ctime_ns; /* wall clock */
    double attr_timeout_s, entry_timeout_s;
};

/* Attributes as `uid` sees them. 0, -ENOENT (directories) or -ENODEV (files) when
 * it ended. */
int tree_attributes(struct tree *tree, const struct node *node, uint32_t uid,
                    struct attributes *ret_attributes);
/* Whether the mode bits of a file let a caller write it now; the kernel asked when
 * it was opened. Administrators may. */
bool tree_may_write(struct tree *tree, const struct node *node, const struct caller *caller);
/* What a file shows, in tree->shown until the next call. */
int tree_show(struct tree *tree, const struct node *node, uint32_t uid);

/* Memory and number of partitions of a directory's filesystem, for df. */
struct space {
    uint64_t total_bytes, free_bytes, partitions;
};
void tree_space(struct tree *tree, const struct node *node, struct space *ret_space);

/* -- changing -------------------------------------------------------------- */

/* What setattr may ask of a node; the message goes to why. 0, -errno, a refusal. */
struct attribute_change {
    bool set_mode, set_uid, set_gid, set_mtime;
    mode_t mode;
    uint32_t uid, gid;
    int64_t mtime_ns; /* wall clock */
};
int tree_change_attributes(struct tree *tree, const struct node *node, const struct caller *caller,
                           const struct attribute_change *change, struct refusal *why);

#endif
