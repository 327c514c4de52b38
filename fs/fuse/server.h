/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's whole: the tree, the line to the kernel, and the threads that block
 * in its stead. One thread, the loop, owns it. Map of the modules:
 *
 *   worker.c   starts, restores, loops over events, stops
 *   ops.c      requests of the kernel that only ask
 *   listing.c  requests that list a directory
 *   polling.c  who polls a file, and who is told that it has news
 *   writes.c   requests that change something
 *   submit.c   from the engine's events to the committer, and back when it fails
 *   restore.c  from the store to the engine
 *   later.c    requests that wait for the host thread's look at programs
 *   joins.c    processes on their way into partitions
 *   news.c     what the host thread found out
 *   host.h   the thread that deals with programs
 */
#ifndef CHRONOS_FUSE_SERVER_H
#define CHRONOS_FUSE_SERVER_H

#include "committer.h"
#include "core/host/host.h"
#include "fs/tree/tree.h"
#include "session.h"
#include "worker.h"

struct server {
    struct session *session; /* first: link.c finds itself through it */
    struct tree tree;
    struct store *store;
    struct committer *committer;
    struct host *host;
    struct host_policy told_policy;             /* what the host thread was told last */
    struct deferred *deferred, **last_deferred; /* who waits for a look at programs; oldest first */
    bool answering_deferred;                    /* they wait no more */
    struct join_wait *joins;                    /* who waits for a process to join; oldest first */
    uint64_t join_number;
    int timer_fd, deferred_fd, epoll_fd, signal_fd;
    int64_t armed_ns;            /* what the timer is set to; ENGINE_FOREVER not set */
    int64_t usage_due_ns;        /* what partitions used is written then, or later */
    struct store_reply *replies; /* answers a dead worker may not have given */
    size_t reply_count, reply_capacity;
    struct partition *ended; /* lately, as the history tells; until the host thread has them */
    size_t ended_count, ended_capacity;
    char instance[24]; /* names the groups of processes of this state */
    int exit_code;     /* enum worker_exit once `stopping` */
    bool stopping;
};

/* -- submit.c ----------------------------------------------------------------- */

/* Reads the clocks and ends what is up. Call it before anything is decided. */
void submit_tick(struct server *server);
/* Sends what the engine did since the last call on its way to disk; `change`
 * carries the answer (copied; a reply kind of REPLY_NONE for none). */
void submit_events(struct server *server, const struct change *answer);
/* Takes back what could not be made durable and refuses it. */
void submit_handle_failure(struct server *server);
/* Sets the timer to the engine's next moment. */
void submit_arm(struct server *server);

/* -- restore.c ---------------------------------------------------------------- */

/* Opens the store and puts everything back. 0 or -errno, said on the log. */
int recover_state(struct server *server);
/* Ends the partitions tied to open files that are not open: those of another
 * mount, and those whose close was not made durable. 0 or -errno. */
int recover_close_unheld(struct server *server);

/* What the policy in force says to the keeper. */
struct host_policy submit_policy(const struct server *server);
/* Starts the host thread with what was restored. 0 or -errno. */
int recover_start_host(struct server *server);

/* -- writes.c ----------------------------------------------------------------- */

void write_data(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                struct fuse_file_info *fi);
void write_attributes(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                      struct fuse_file_info *fi);
void write_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void write_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void write_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* -- ops.c -------------------------------------------------------------------- */

extern const struct fuse_lowlevel_ops server_ops;
struct server *ops_server(fuse_req_t req);
/* The server and the node of a request, the clock read; answers and returns NULL
 * when the number names nothing. */
struct server *ops_enter(fuse_req_t req, fuse_ino_t ino, struct node *ret_node);
/* What the kernel is told of a node. 0 or -errno. */
int ops_fill_entry(struct server *server, const struct node *node, uint32_t uid,
                   struct fuse_entry_param *entry);
/* Puts attributes into the kernel's form. */
void ops_stat(const struct attributes *attributes, struct stat *ret_stat);
/* What a refusal code or a -errno is to a caller. */
int ops_errno(int result);

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);

/* -- later.c -------------------------------------------------------------------- */

enum deferred_kind { LATER_OPEN, LATER_GETATTR, LATER_READ };
/* Whether the request waits for a look at the programs of its partition; then it is
 * answered later. Not for files that show nothing of them. */
bool deferred_add(struct server *server, enum deferred_kind kind, fuse_req_t req,
                  const struct node *node, fuse_ino_t ino, size_t size,
                  const struct fuse_file_info *fi);
/* Answers those who waited since at_ns or earlier for a look at a partition, or
 * (HOST_USAGE) at what drivers tell. */
void deferred_looked(struct server *server, uint64_t what, int64_t at_ns);
/* Answers those who waited too long. */
void deferred_handle_late(struct server *server);
/* Answers all: the worker stops. */
void deferred_answer_all(struct server *server);

/* Sets the timer to the moment when the first of those who wait has waited too long. */
void deferred_arm(struct server *server);

/* -- joins.c ---------------------------------------------------------------------- */

/* Hands a write to `procs` to the host thread; it is answered when that is done. 0 or
 * -errno: then it is not. */
int pending_join_start(struct server *server, fuse_req_t req, const struct write *write,
                       size_t size);
/* The host thread did it: answers who waits. */
void pending_join_finish(struct server *server, const struct host_result *result);
/* When the first of them has waited too long; INT64_MAX: nobody waits. */
int64_t pending_join_due_ns(const struct server *server);
/* Answers those who waited too long. */
void pending_join_late(struct server *server);
/* Waits for them, but not for long, and answers all: the worker stops. */
void pending_join_finish_all(struct server *server);

/* -- news.c ----------------------------------------------------------------------- */

/* Takes in what the host thread found out. */
void results_handle(struct server *server);

/* -- listing.c ------------------------------------------------------------------ */

void listing_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void listing_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi);
void listing_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi);

/* -- polling.c ------------------------------------------------------------------ */

void poll_request(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                  struct fuse_pollhandle *ph);
/* Tells those who poll a file that these events changed. */
void poll_wake(struct server *server, const struct engine_event *events);
/* Tells all who poll: a wake-up may have been lost with the last worker. */
void poll_wake_all(struct server *server);

#endif
