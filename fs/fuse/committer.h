/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change on its way to disk, and the thread that makes changes durable. The
 * loop decides and submits; the committer takes all that wait, makes them durable
 * with one sync, tells the kernel what to forget, and answers them. When that
 * fails nothing is answered: the loop takes everything back and refuses it.
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

enum reply_kind { REPLY_NONE, REPLY_DONE, REPLY_WRITTEN, REPLY_ATTRIBUTES };

/* The answer that leaves once the change is durable. */
struct reply {
    enum reply_kind kind;
    fuse_req_t req;
    size_t written;
    struct stat attributes;
    double timeout_s;
};

struct change {
    struct change *next;
    struct engine_event *events; /* owned; NULL when nothing must be durable */
    size_t event_count;
    struct store_partition_usage *usages; /* owned; kept with whatever is made durable */
    size_t usage_count;
    struct reply reply;
    uint64_t unique, result;   /* of the request, and what its answer was */
    uint32_t uid;              /* the user whose status says so when it fails */
    bool after_resent;         /* when it was decided every repeated request had been read */
    uint64_t fh;               /* whose read-back is taken back when it fails; 0 none */
    struct store_item items[]; /* one an event; their lines lie behind them */
};

struct change *committer_change_free(struct change *change);
void committer_reply(const struct reply *reply);
void committer_refuse(const struct reply *reply, int error);

struct committer;
struct host;
struct session;

/* What the committer is given when it starts. */
struct committer_start {
    struct store *store; /* borrowed, as link and host thread: all must outlive it */
    struct session *session;
    struct host *host; /* hears what is durable; may be NULL */
    uint64_t mount_id;
    const struct store_reply *replies; /* copied: answers the last worker may not have given */
    size_t reply_count;
    const struct gpu_device *devices; /* borrowed: what the indices in events mean */
    uint32_t device_count;
};

/* Starts the thread. The replies stay in the store until every repeated request
 * was answered, however often workers die; the devices are written down before the
 * first change, or, while the disk refuses, before a later one. */
int committer_new(const struct committer_start *start, struct committer **ret_committer);
/* Stops it after what is queued; returns NULL. */
struct committer *committer_free(struct committer *committer);
/* Takes the change over. */
void committer_submit(struct committer *committer, struct change *change, int64_t retention_ns,
                      uint64_t first_line_seq);
/* Readable (an eventfd) when a batch could not be made durable. */
int committer_fd(const struct committer *committer);
/* What failed and everything submitted after it, oldest first, with the message;
 * the committer goes on with what is submitted from now on. NULL: nothing failed. */
struct change *committer_take_failed(struct committer *committer, struct message *ret_message);
/* Waits until nothing is queued, or something failed; false then. */
bool committer_drain(struct committer *committer);

#endif
