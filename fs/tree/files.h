/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the table of files is made of. A virtual file is one row: name, mode, what it shows,
 * what a write does, one line of documentation. Looking up, listing, permissions, polling
 * and docs/filesystem.md all come from the rows.
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

/* How a field is shown that needs no function of its own. */
enum shown {
    SHOWN_TEXT,      /* char[] */
    SHOWN_NUMBER,    /* uint64_t */
    SHOWN_SECONDS,   /* int64_t: whole seconds */
    SHOWN_WALL,      /* int64_t: a moment of the wall clock */
    SHOWN_MOMENT,    /* int64_t: a moment of engine time */
    SHOWN_WORD,      /* uint32_t: what `word` makes of it */
    SHOWN_BUSY_TIME, /* uint64_t: nanoseconds as seconds with three decimals */
};

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
    /* For a `show` that prints a field of a record: how, and where in the record. */
    enum shown shown;
    const char *(*word)(uint32_t number);
    size_t offset;
};

/* Begins the definition of a show function. */
#define SHOW(what)                                                                                 \
    static int show_##what(struct tree *tree, const struct node *node, uint32_t uid,               \
                           struct strbuf *out)

/* The files of a kind of directory, ended by a row without a name. */
extern const struct file_row files_root[], files_config[], files_users[], files_user[],
    files_device[], files_partitions[], files_partition[];

/* A call of the engine at this moment. */
#define TREE_CALL(tree, caller, why) ENGINE_CALL((tree)->now_ns, tree_wall_ns(tree), caller, why)
/* Says that a name is still being looked up; returns -EAGAIN. A write is never held
 * back for it: it would hold the file for everybody. */
static inline int files_name_later(struct refusal *why, const char *what, const char *name)
{
    return message_refuse(-EAGAIN, why->message, sizeof(why->message),
                          "The %s \"%.64s\" is still being looked up; write it again in a moment",
                          what, name);
}

#endif
