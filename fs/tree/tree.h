/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree and the table it is made of. A virtual file is one row: name, mode,
 * what it shows, what a write does, one line of documentation. Looking up,
 * listing, permissions, polling and docs/filesystem.md all come from the rows.
 * Nothing here knows FUSE; ops.c carries it to the kernel.
 *
 * To add a file, add a row to the table of its directory (files-*.c).
 */
#ifndef CHRONOS_TREE_TREE_H
#define CHRONOS_TREE_TREE_H

#include "core/base/strbuf.h"
#include "core/engine/engine.h"
#include "core/engine/policy.h"
#include "core/engine/units.h"
#include "core/host/host.h"
#include "event_log.h"
#include "ledger.h"
#include "members.h"
#include "names.h"
#include "shared.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Every device known: those found at the start, then those known from old
 * partitions only. */
#define TREE_DEVICE_MAX (2 * GPU_DEVICE_MAX)

/* What everything in fs/ works on. Owned by the worker's one thread. */
struct tree {
    struct shared *shared;
    struct engine *engine;
    struct names *names;
    struct ledger *ledger;
    struct event_log events, history;
    struct strbuf scratch;
    const struct strbuf *shown; /* what a file shows, while it is shown */
    struct members members;     /* what was last seen of partitions' programs */
    struct host_state keeps;    /* what there is to keep limits with */
    struct gpu_device devices[TREE_DEVICE_MAX];
    uint32_t device_count;
    uint32_t admin_gid;               /* of config/admin_group; UINT32_MAX none */
    uint64_t boot_mark;               /* differs from boot to boot */
    uint64_t own_user_ns, own_pid_ns; /* inode numbers of the daemon's namespaces */
    bool names_remembered;            /* the kernel can be told to forget names */
    int64_t now_ns;                   /* CLOCK_BOOTTIME at the start of the request */
    int64_t offset_ns;                /* CLOCK_REALTIME - CLOCK_BOOTTIME */
};

/* -- nodes ---------------------------------------------------------------- */

/* The kinds of directories; the numbers are part of node ids that kernels
 * remember across an upgrade: never change one. */
enum dir_kind {
    DIR_ROOT = 0,
    DIR_CONFIG = 1,
    DIR_USERS = 2,
    DIR_USER = 3,       /* object: uid */
    DIR_DEVICE = 4,     /* object: index */
    DIR_PARTITIONS = 5, /* the links; object of a link: partition id */
    DIR_PARTITION = 6,  /* object: partition id */
    DIR_KINDS
};

/* What a node id names. */
struct node {
    enum dir_kind dir;
    uint64_t object;
    uint16_t file; /* hash of the file's name; 0 the directory itself */
    bool link;     /* DIR_PARTITIONS: the link of partition `object` */
};

/* Node ids are computed, never handed out: a worker knows every id that the
 * kernel got from another. The root is 1. */
uint64_t tree_node_id(const struct node *node);
/* False for a number that names nothing. */
bool tree_node_from_id(uint64_t id, struct node *ret_node);
/* The hash of a file's name that stands for it in node ids; never 0. */
uint16_t tree_node_hash(const char *name);

/* -- the table ------------------------------------------------------------ */

/* How a write is answered, once its store function has done what it says. */
enum write_outcome {
    WRITE_COMMITS, /* when what the engine did is durable */
    WRITE_AT_ONCE, /* now: nothing of it is durable */
    WRITE_JOINS,   /* when the host thread has made process join_pid a member */
};

/* A write, on its way through a file's store function. */
struct write {
    const struct node *node;
    const char *text; /* one line, without its newline, NUL-terminated */
    size_t length;
    struct caller caller;
    struct shared_handle *handle;
    uint64_t fh;
    uint64_t unique; /* the kernel's number of it */
    bool resent;     /* it may have been done: a worker died before it answered */
    enum write_outcome outcome;
    uint64_t result;    /* for `new`: the id */
    int32_t join_pid;   /* for `procs`: the process */
    struct refusal why; /* the message, good or bad */
};

/* How long what a file shows keeps its length, so that the kernel may remember it. */
enum fresh {
    FRESH_ALWAYS,      /* as long as the node lives, unless an event changes it */
    FRESH_NEVER,       /* can change at any moment */
    FRESH_COUNTS_DOWN, /* until the partition's remaining seconds have a digit less */
};

/* What the host thread is asked for. */
enum live { LIVE_NOT, LIVE_MEMBERS, LIVE_USAGE };

struct file_row {
    const char *name;
    uint16_t mode; /* of the file; in a partition, 0200 gives the directory's w bits to group and
                      others */
    enum fresh fresh;
    /* Adds what the file shows. 0, or -errno (-ENODEV: it ended). */
    int (*show)(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out);
    /* Does what the line asks, and says how it is answered. 0, -errno or a refusal code. */
    int (*store)(struct tree *tree, struct write *write);
    /* The number that rises when a poller should look; NULL: not pollable. False: it ended. */
    bool (*watch)(struct tree *tree, const struct node *node, uint64_t *ret_change);
    /* What it shows when that is there already: then it has no `show`. */
    const struct strbuf *(*text)(struct tree *tree);
    /* Its mode, owner and group can be changed, and last. */
    bool keeps_mode;
    /* Whoever has the descriptor writes with the rights of who opened it, also after
     * the end: `store` judges, by what `opened` noted in the slot. */
    bool lent;
    void (*opened)(struct tree *tree, const struct node *node, const struct caller *opener,
                   struct shared_handle *slot);
    /* It shows what programs do now: the host thread is asked before it is shown. */
    enum live live;
    const char *doc; /* one line */
};

/* Begins the definition of a show function. */
#define SHOW(what)                                                                                 \
    static int show_##what(struct tree *tree, const struct node *node, uint32_t uid,               \
                           struct strbuf *out)

/* The files of a kind of directory, ended by a row without a name. */
extern const struct file_row files_root[], files_config[], files_users[], files_user[],
    files_device[], files_partitions[], files_partition[];
const struct file_row *tree_rows(enum dir_kind kind);
/* The row of a file node, or NULL. */
const struct file_row *tree_row(const struct node *node);
/* What a kind of directory is for, for the docs. */
const char *tree_dir_doc(enum dir_kind kind);

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

/* -- helpers of the files --------------------------------------------------- */

/* The partition a node belongs to, alive, or NULL. */
const struct partition *tree_partition(struct tree *tree, const struct node *node);
int64_t tree_wall_ns(const struct tree *tree); /* of now_ns */
/* A call of the engine at this moment. */
#define TREE_CALL(tree, caller, why) ENGINE_CALL((tree)->now_ns, tree_wall_ns(tree), caller, why)
/* "p12": its number, 0 when the text is none. */
uint64_t tree_partition_number(const char *text, size_t length);
/* The line that an event makes in the log of events. */
void tree_event_line(struct tree *tree, const struct engine_event *event, char *line, size_t size);
/* What the history tells of a partition that ended. */
struct tree_ended {
    const struct partition *partition;
    uint32_t device; /* index; ENGINE_DEVICE_ANY: it is not there any more */
    int64_t start_wall_ns, end_wall_ns;
    enum event_kind how;
    uint32_t by_uid;
    uint64_t peak_bytes, gpu_ns;
};
void tree_history_line(struct tree *tree, const struct tree_ended *ended, char *line, size_t size);
/* Says that a name is still being looked up; returns -EAGAIN. A write is never held
 * back for it: it would hold the file for everybody. */
int tree_name_later(struct refusal *why, const char *what, const char *name);
/* Resolves config/admin_group. NAMES_LATER: not yet known. */
enum names_result tree_find_admin_group(struct tree *tree);

#endif
