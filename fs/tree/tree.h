/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of files, and walking it. It must not know FUSE, what a file shows (files.h), or the
 * daemon around it (fs/fuse/server.h).
 */
#ifndef CHRONOS_TREE_TREE_H
#define CHRONOS_TREE_TREE_H

#include "core/gpu/gpu.h"
#include "counters.h"
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
struct bookings;
struct ledger;
struct members;
struct names;
struct partition;
struct refusal;
struct shared;

/* All known devices: first those found at the start, then absent ones of old partitions. */
#define TREE_DEVICE_MAX (2 * GPU_DEVICE_MAX)

/* A kind of directory: its files, ended by a row without a name, and its documentation. */
struct directory {
    const struct file_row *rows;
    const char *doc;
};
/* All kinds, for tree_init. */
extern const struct directory tree_table[DIR_KINDS];

#define TREE_FILES_MAX 40 /* most files of a directory; tree_init asserts it */

/* A long text of a queue, which all who read it at about the same time share. */
struct waits_text {
    uint32_t device;
    uint64_t last_seq;
    int64_t offset_ns, made_ns;
    struct strbuf text;
};
#define WAITS_TEXTS 4

/* The file `cdi` of root, which can be long. */
struct cdi_text {
    uint64_t seq;
    int64_t made_ns;
    struct strbuf text;
};

/* Changes of what waits for its start; waits.h. */
struct tree_waits {
    uint64_t last_seq;                    /* number of the last event about it */
    uint64_t seq;                         /* the same, as shown to pollers */
    uint64_t device_seq[TREE_DEVICE_MAX]; /* the same of each device */
    uint64_t started;                     /* how many have started since the worker began */
    /* since `seq` */
    uint32_t moved[TREE_DEVICE_MAX];
    bool touched[TREE_DEVICE_MAX];
    struct waits_text texts[WAITS_TEXTS];
};

/* The state that files show and change. Owned by the loop thread; everything that it points to is
 * borrowed. */
struct tree {
    const struct directory *table;
    uint16_t hashes[DIR_KINDS][TREE_FILES_MAX]; /* of the names in the table's rows */
    struct shared *shared;
    struct engine *engine;
    struct names *names;
    struct ledger *ledger;
    struct bookings *bookings;           /* by process; shared with the host thread */
    const struct members *members;       /* snapshots of partitions' members */
    const struct host_state *host_state; /* which mechanisms enforce limits */
    const struct gpu_device *devices;
    uint32_t device_count;
    struct event_log events, history;
    struct counters counters;
    struct tree_waits waits;
    uint64_t last_seq; /* number of the last event */
    struct cdi_text cdi;
    struct event_log chain; /* the lines of the partition that was looked at last */
    struct strbuf scratch;
    const struct strbuf *shown;       /* content of a file, set by tree_show */
    uint32_t admin_gid;               /* gid of config/admin_group; UINT32_MAX: none */
    bool lent_charges;                /* files `charge` may be open to others than the owner */
    int32_t reader;                   /* the thread that asks; 0: unknown */
    uint32_t reader_gid;              /* its group */
    uint64_t boot_mark;               /* differs from boot to boot */
    uint64_t own_user_ns, own_pid_ns; /* inode numbers of the daemon's namespaces */
    int64_t now_ns;                   /* CLOCK_BOOTTIME at the start of the request */
    int64_t offset_ns;                /* CLOCK_REALTIME - CLOCK_BOOTTIME */
};

/* Initialize the tree with these directories and everything else zero. */
void tree_init(struct tree *tree, const struct directory table[DIR_KINDS]);
int64_t tree_wall_ns(const struct tree *tree); /* of now_ns */
/* Return the wall clock time of a moment, to show whole seconds of it. Each worker measures the
 * offset of the clocks again: a whole second that was asked for must not become the one before. */
int64_t tree_shown_ns(const struct tree *tree, int64_t at_ns);
/* Return the row of a file node, or NULL. */
const struct file_row *tree_row(const struct tree *tree, const struct node *node);
/* Return the live partition that a node belongs to, or NULL. */
const struct partition *tree_partition(struct tree *tree, const struct node *node);
/* Return whether a partition has a share of this device. */
bool tree_partition_is_on(const struct partition *partition, uint64_t device);
/* Parse "p12". Return the id, or 0 for other text. */
uint64_t tree_partition_number(const char *text, size_t length);

/* -- walking --------------------------------------------------------------- */

/* Find the child `name` of a directory. False if there is none. */
bool tree_lookup(struct tree *tree, const struct node *dir, const char *name,
                 struct node *ret_child);
/* Return whether the node exists now. */
bool tree_alive(struct tree *tree, const struct node *node);
/* Return the next entry of a directory after `cookie` (0: the first): its name, its node, and the
 * cookie to continue with. False at the end. */
bool tree_next_child(struct tree *tree, const struct node *dir, uint64_t cookie, char *name,
                     size_t size, struct node *ret_child, uint64_t *ret_cookie);
/* Return the parent of a directory. */
struct node tree_parent(struct tree *tree, const struct node *dir);
/* Format the target of the link to a partition. */
void tree_link_target(const struct partition *partition, char *text, size_t size);

/* -- attributes ------------------------------------------------------------ */

struct attributes {
    uint64_t id;
    mode_t mode; /* including the file type */
    uint32_t uid, gid;
    uint64_t size, blocks;
    int64_t mtime_ns, ctime_ns; /* wall clock */
    double attr_timeout_s, entry_timeout_s;
};

/* Get a node's attributes as user `uid` sees them. 0; -ENOENT (directories) or -ENODEV (files) if
 * it ended; other -errno. */
int tree_attributes(struct tree *tree, const struct node *node, uint32_t uid,
                    struct attributes *ret_attributes);
/* Return the owner of a file. */
uint32_t tree_owner(struct tree *tree, const struct node *node);
/* Return whether the mode bits of a file let a caller write it now; the kernel checked them at
 * open. Root always may. */
bool tree_may_write(struct tree *tree, const struct node *node, const struct caller *caller);
/* Say of each device whether the caller cannot write its file `new` now. */
void tree_find_barred(struct tree *tree, const struct caller *caller, bool *ret_barred);
/* Put the content of a file into tree->shown, valid until the next call. 0 or -errno. */
int tree_show(struct tree *tree, const struct node *node, uint32_t uid);

/* Get the memory and number of partitions of a directory, for df. */
struct space {
    uint64_t total_bytes, free_bytes, partitions;
};
void tree_space(struct tree *tree, const struct node *node, struct space *ret_space);

/* -- changing -------------------------------------------------------------- */

/* What setattr can change. On refusal the message is in `why`. 0, -errno or a refusal code. */
struct attribute_change {
    bool set_mode, set_uid, set_gid, set_mtime;
    mode_t mode;
    uint32_t uid, gid;
    int64_t mtime_ns; /* wall clock */
};
/* Return whether everything is so already: editors restore mode and owner after they have saved. */
bool tree_change_is_none(const struct attributes *attributes,
                         const struct attribute_change *change);
int tree_change_attributes(struct tree *tree, const struct node *node, const struct caller *caller,
                           const struct attribute_change *change, struct refusal *why);

#endif
