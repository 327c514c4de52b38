/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions for the table of files. A virtual file is one row: name, mode, what it shows, what a
 * write does, one line of documentation. Lookup, listing, permissions, polling and
 * docs/filesystem.md are driven by the rows.
 *
 * To add a file, add a row to the table of its directory (files_*.c).
 */
#ifndef CHRONOS_TREE_FILES_H
#define CHRONOS_TREE_FILES_H

#include "core/base/message.h"
#include "core/engine/engine.h"
#include "core/engine/policy.h"
#include "core/engine/units.h"
#include "ledger.h"
#include "names.h"
#include "shared.h"
#include "tree.h"

#include <errno.h>

/* When a write is answered after its store function succeeded. */
enum write_outcome {
    WRITE_COMMITS, /* once the change in the engine is durable */
    WRITE_AT_ONCE, /* now; it changed nothing durable */
    WRITE_SHOWS,   /* now; what it found is in tree->scratch, to be read back from the open file */
    WRITE_ASKS,    /* once the host thread knows whether the writer belongs to the node's partition:
                    * then `store` is called again */
    WRITE_JOINS,   /* once the host thread has added process join_pid, or the cgroup join_cgroup, to
                    * the node's partition, or, where the node is of none, has taken it out of its
                    * own */
};

/* A write on its way through a file's store function. */
struct write {
    const struct node *node;
    const char *text; /* one line without its newline, NUL-terminated */
    size_t length;
    struct caller caller;
    struct shared_handle *handle;
    uint64_t fh;
    uint64_t unique; /* number that the kernel gave it */
    enum write_outcome outcome;
    bool belongs;     /* the writer is known to belong to the partition */
    bool uses;        /* it is the first use of the node's partition, whose user is awaited */
    uint64_t result;  /* for `new`: the id */
    int32_t join_pid; /* for `procs`: the process */
    const char *join_cgroup; /* for `cgroups`: its path; else NULL */
    struct refusal why;      /* the message to the user, on success too */
};

/* How long the length of a file's content stays valid, so that the kernel can cache it. */
enum fresh {
    FRESH_ALWAYS,      /* as long as the node lives, unless an event changes it */
    FRESH_NEVER,       /* can change at any moment */
    FRESH_COUNTS_DOWN, /* until the remaining seconds lose a digit */
};

/* What to request from the host thread before showing a file. */
enum live { LIVE_NOT, LIVE_MEMBERS, LIVE_USAGE };

/* How to print a field that needs no function of its own. */
enum shown {
    SHOWN_TEXT,      /* char[] */
    SHOWN_NUMBER,    /* uint64_t */
    SHOWN_SECONDS,   /* int64_t: whole seconds */
    SHOWN_WALL,      /* int64_t: wall clock time */
    SHOWN_MOMENT,    /* int64_t: engine time */
    SHOWN_WORD,      /* uint32_t: translated by `word` */
    SHOWN_BUSY_TIME, /* uint64_t: nanoseconds, shown as seconds with three decimals */
};

struct file_row {
    const char *name;
    uint16_t mode; /* of the file; in a partition, 0200 gives the directory's w bits to group and
                    * others */
    enum fresh fresh;
    /* Append the content of the file. 0, or -errno (-ENODEV: the partition ended). */
    int (*show)(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out);
    /* Do what the line requests and set write->outcome. 0, -errno or a refusal code. */
    int (*store)(struct tree *tree, struct write *write);
    /* Return a number that changes when pollers should wake; NULL: not pollable. False: the
     * partition ended. */
    bool (*watch)(struct tree *tree, const struct node *node, uint64_t *ret_change);
    /* The length of what `show` prints, if it is known without printing. */
    uint64_t (*size)(struct tree *tree, const struct node *node);
    /* Lines that are added at the end, instead of `show`: those who have read to the end go on with
     * new ones. */
    const struct event_log *(*log)(struct tree *tree, const struct node *node);
    /* `backup`: not a text of the tree; fs/fuse makes it. For root alone. */
    bool backup;
    /* In a partition: its guests may write the file, too. */
    bool guests;
    /* In a partition: only its owner and root may write the file, whatever its mode says. */
    bool owners;
    /* In a partition: only root may write the file. */
    bool roots;
    /* `new`: keep changes of its mode, owner and group. Each user has a node of their own, because
     * a node has a lock in the kernel that a slow writer holds. */
    bool own;
    /* A write needs the whole plan, as one of `new` does: it waits until that is finished. */
    bool plans;
    /* It shows starts of what waits: never one that is not durable. */
    bool promises;
    /* What is read back after a write is a text, not an id (WRITE_SHOWS). */
    bool shows;
    /* Writes have the rights of the process that opened the file, even if it passes the descriptor
     * on and after the partition's end. `store` decides by what `opened` noted in the slot. */
    bool lent;
    /* The kernel lets everyone open the file for writing, and this decides, because the kernel does
     * not know who belongs to a partition. 0, -EACCES, or 1: if the opener's process belongs to it,
     * which the host thread knows. */
    int (*opened)(struct tree *tree, const struct node *node, const struct caller *opener,
                  struct shared_handle *slot);
    /* The file shows live data: request it from the host thread first. */
    enum live live;
    const char *doc; /* one line */
    /* For a `show` that prints a field of a record: how, and its offset in the record. */
    enum shown shown;
    const char *(*word)(uint32_t number);
    size_t offset;
};

/* Begin the definition of a show function. */
#define SHOW(what)                                                                                 \
    static int show_##what(struct tree *tree, const struct node *node, uint32_t uid,               \
                           struct strbuf *out)

/* The files of each kind of directory; a row without a name ends them. */
extern const struct file_row files_root[], files_config[], files_users[], files_user[],
    files_groups[], files_group[], files_device[], files_partitions[], files_partition[];

/* Print the ids of a user's partitions, one per line. */
void files_print_ids(const struct tree *tree, uint32_t user, struct strbuf *out);
/* Parse a pid in the writer's pid namespace, or 0 for the writer itself, into write->join_pid. */
int files_parse_pid(struct write *write);
/* A call of the engine at the present time. */
#define TREE_CALL(tree, caller, why) ENGINE_CALL((tree)->now_ns, tree_wall_ns(tree), caller, why)
/* Report when the partition ends now. */
void files_end_message(const struct tree *tree, const struct partition *partition,
                       struct refusal *why);
/* Refuse with -EAGAIN because a name is still being looked up. Never hold back a write for a
 * lookup: that would block the file for everyone. */
static inline int files_name_later(struct refusal *why, const char *what, const char *name)
{
    return message_refuse(-EAGAIN, why->message, sizeof(why->message),
                          "The %s \"%.64s\" is still being looked up; try again in a moment.", what,
                          name);
}

/* Starts every show function of a partition: the node's partition may have ended. */
#define PARTITION_OR_GONE(tree, node)                                                              \
    const struct partition *partition = tree_partition(tree, node);                                \
    if (!partition)                                                                                \
        return -ENODEV;                                                                            \
    (void)uid

#endif
