/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change on its way to disk, and the thread that makes changes durable. The loop decides and
 * submits; the committer takes everything queued, makes it durable with one sync, invalidates the
 * kernel's caches, and answers the requests. On failure it answers nothing: the loop reverts and
 * refuses all of it.
 */
#ifndef CHRONOS_FUSE_COMMITTER_H
#define CHRONOS_FUSE_COMMITTER_H

#define FUSE_USE_VERSION 314
#include "core/gpu/gpu.h"
#include "core/store/store.h"

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum reply_kind {
    REPLY_NONE,
    REPLY_DONE,
    REPLY_WRITTEN,
    REPLY_ATTRIBUTES,
    REPLY_TEXT,
    REPLY_BACKUP
};

struct reader;

/* The answer to send once the change is durable. */
struct reply {
    enum reply_kind kind;
    fuse_req_t req;
    size_t written;
    struct stat attributes;
    double timeout_s;
    /* REPLY_BACKUP: write a backup of the state to this memory, seal it, and answer a read of this
     * size from its beginning. The reply owns the descriptor. */
    int backup_fd;
    size_t backup_size;
    /* REPLY_TEXT: `written` bytes for a read. The reply owns the reader, a block of memory that has
     * them, too. */
    const char *text;
    struct reader *reader;
    void (*again)(struct reader *reader); /* frees it: if the change has failed */
};

struct change {
    struct change *next;
    struct engine_event *events; /* owned; NULL: nothing to make durable */
    size_t event_count;
    struct store_partition_usage *usages; /* owned; stored in the same batch */
    size_t usage_count;
    bool records; /* commit it even if it is empty: that records the time */
    bool moves;   /* what waits gets another start, or starts */
    struct reply reply;
    uint64_t unique, result; /* the request's number, and the result for its answer */
    uint32_t uid;            /* the user and thread whose status reports a failure */
    int32_t tid;
    bool after_left;           /* submitted after the last request of a dead worker was served */
    uint64_t fh;               /* the open file whose answer is dropped on failure; 0: none */
    struct store_item items[]; /* one per event; their lines follow the array */
};

/* Free a change and its events. Accepts NULL. Returns NULL. */
struct change *committer_change_free(struct change *change);
/* Send the answer. */
void committer_reply(const struct reply *reply);
/* Send `error` (an errno) instead. */
void committer_refuse(const struct reply *reply, int error);

struct committer;
struct host;
struct session;

/* What the committer starts with. All pointers but `replies` are borrowed and must outlive it. */
struct committer_start {
    struct store *store;
    struct session *session;
    struct host *host; /* notified of durable events; may be NULL */
    uint64_t mount_id;
    const struct store_reply *replies; /* copied: answers that the last worker may not have sent */
    size_t reply_count;
    const struct gpu_device *devices; /* in the order of the device indices in events */
    uint32_t device_count;
};

/* Start the thread. Keep `replies` in the store until every request that a dead worker left is
 * answered, however many workers die before that. Store the device list with the first change, or,
 * if that fails, with a later one. It lives as long as the worker. 0 or -errno: the worker ends. */
int committer_new(const struct committer_start *start, struct committer **ret_committer);
/* Take ownership of the change. */
void committer_submit(struct committer *committer, struct change *change, int64_t retention_ns,
                      uint64_t first_line_seq);
/* Return whether changes are on their way to the disk. */
bool committer_is_busy(struct committer *committer);
/* Return whether some of them move what waits, or start it. */
bool committer_moves(struct committer *committer);
/* An eventfd: readable when a batch could not be made durable. */
int committer_fd(const struct committer *committer);
/* Take the changes that failed and all submitted after them, oldest first, with the error message.
 * The committer then continues with new ones. NULL: no failure. */
struct change *committer_take_failed(struct committer *committer, struct message *ret_message);
/* Wait until the queue is empty, settle the store and return true, or until a batch fails and
 * return false. */
bool committer_drain(struct committer *committer);

#endif
