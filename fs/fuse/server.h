/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's whole: the tree, the session with the kernel, and the threads that may block.
 * One thread, the loop, owns it. A map of the room, from the top down; a file uses those
 * below it only:
 *
 *   worker.c     starts, serves, stops
 *   recover.c    from the store to the engine, and to the host thread
 *   ops.c        requests that only ask
 *   listing.c    requests that list a directory
 *   write.c      requests that change something
 *   results.c    what the host thread found out
 *   pending.c    requests that wait for the host thread
 *   reply.c      how a request is entered, answered and refused
 *   submit.c     from the engine's events to the committer, and back when that fails
 *   poll.c       whom events wake
 *   committer.c  makes changes durable and answers them, on a thread of its own
 *   invalidate.c what the kernel must forget
 *   session.c    requests from the kernel, in turns; messages to it
 */
#ifndef CHRONOS_FUSE_SERVER_H
#define CHRONOS_FUSE_SERVER_H

#include "committer.h"
#include "core/host/host.h"
#include "fs/tree/files.h"
#include "fs/tree/handles.h"
#include "fs/tree/members.h"
#include "session.h"
#include "worker.h"

struct pending;

/* Requests of one kind that wait for the host thread, oldest first. Those of a kind are
 * equally patient, so the first is the one whose time is up first. */
struct pending_queue {
    struct pending *first, **last;
};
enum pending_kind { PENDING_LOOK, PENDING_JOIN, PENDING_KINDS };

struct server {
    struct session *session; /* first: session.c finds itself through it */
    struct tree tree;
    struct handles handles;
    struct members members;
    struct gpu_device devices[TREE_DEVICE_MAX];
    struct store *store;
    struct committer *committer;
    struct host *host;
    struct policy told_policy;     /* what the host thread was told last */
    struct host_state *host_state; /* what it told last of itself; NULL nothing yet */
    int64_t sampled_ns;            /* what drivers tell is known as of then */
    int64_t joined_ns;             /* when a process last joined: looks before it are old */
    struct pending_queue pending[PENDING_KINDS];
    uint64_t join_number;
    int timer_fd, signal_fd;
    int64_t armed_ns;            /* when the timer fires; ENGINE_FOREVER: it is not set */
    int64_t usage_due_ns;        /* what partitions used is written then, or later */
    struct store_reply *replies; /* answers a dead worker may not have given */
    size_t reply_count, reply_capacity;
    struct partition *ended; /* lately, as the history tells; until the host thread has them */
    size_t ended_count, ended_capacity;
    char instance[24]; /* names the groups of processes of this state */
    int exit_code;     /* enum worker_exit once `stopping` */
    bool stopping;
    bool has_requests; /* the kernel has requests, or the session holds some */
};

/* A request of the kernel that only asks, about a node. */
struct query {
    struct server *server;
    fuse_req_t req;
    struct node node;
    const struct file_row *row; /* of a file that can exist, else NULL */
    size_t size;
    off_t offset;
    struct fuse_file_info *fi;
};

/* -- worker.c: see worker.h -------------------------------------------------------- */

/* -- recover.c --------------------------------------------------------------------- */

/* Opens the store and puts everything back. 0 or -errno, said on the log. */
int recover_state(struct server *server);
/* Starts the host thread with what was put back. 0 or -errno. */
int recover_host(struct server *server);

/* -- ops.c ------------------------------------------------------------------------- */

extern const struct fuse_lowlevel_ops ops_table;

/* -- listing.c --------------------------------------------------------------------- */

void listing_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void listing_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi);
void listing_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi);

/* -- write.c ----------------------------------------------------------------------- */

void write_line(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                struct fuse_file_info *fi);
void write_attributes(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                      struct fuse_file_info *fi);
void write_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void write_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void write_close(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* -- results.c --------------------------------------------------------------------- */

/* Takes in what the host thread found out. */
void results_handle(struct server *server);
/* Answers every request that waits for the host thread: the worker stops. Processes that
 * are to join get a second for it. */
void results_finish(struct server *server);

/* -- pending.c --------------------------------------------------------------------- */

/* Whether the request waits until the host thread has looked at the processes of its
 * partition: `answer` is called then, or when it has waited long enough. False: what is
 * known is good enough, answer it now. */
bool pending_look(const struct query *query, void (*answer)(const struct query *query));
/* There is a look at partition `id`, or (HOST_USAGE) at the drivers, for all who asked at
 * at_ns or earlier. */
void pending_looked(struct server *server, uint64_t id, int64_t at_ns);
/* Has a process join, as the write says, and answers it then. 0 or -errno: it is not
 * answered. */
int pending_join(struct server *server, fuse_req_t req, const struct write *write, size_t size);
void pending_joined(struct server *server, const struct host_result *result);
/* Answers those that have waited too long, and sets the timer for the next. */
void pending_expire(struct server *server);
/* Answers all of a kind as if they had waited too long. */
void pending_give_up(struct server *server, enum pending_kind kind);

/* -- reply.c ----------------------------------------------------------------------- */

/* Reads the clock, ends what is up, and finds what a request is about. False: its number
 * names nothing, and it is answered. */
bool reply_enter(fuse_req_t req, fuse_ino_t ino, struct query *ret_query);
/* A refusal code or a -errno as an errno. */
int reply_errno(int result);
void reply_error(fuse_req_t req, int result);
/* The same to a request that changes something: its user finds `message` ("": what the
 * error is called) in `status`. */
void reply_refusal(struct server *server, fuse_req_t req, uint32_t uid, int result,
                   const char *message);
/* Attributes in the kernel's form. */
void reply_stat(const struct attributes *attributes, struct stat *ret_stat);
/* A node as the kernel's answer to a look-up. 0 or -errno. */
int reply_fill_entry(const struct query *query, const struct node *node,
                     struct fuse_entry_param *ret_entry);
/* The part of a text that was asked for. */
void reply_text(const struct query *query, const char *text, size_t length);

/* -- submit.c ---------------------------------------------------------------------- */

/* Reads the clocks and ends what is up. Call it before anything is decided. */
void submit_tick(struct server *server);
/* Sends what the engine did since the last call on its way to disk; `answer` (copied; NULL:
 * no client waits) leaves when that is durable. */
void submit_events(struct server *server, const struct change *answer);
/* Takes back what could not be made durable and refuses it. */
void submit_handle_failure(struct server *server);
/* Ends the partitions tied to open files that are not open: those of another mount, and
 * those whose close was not made durable. 0 or -errno. */
int submit_close_unheld(struct server *server);
/* Has the timer fire at at_ns at the latest. */
void submit_arm(struct server *server, int64_t at_ns);
/* The same for whatever submit_tick has to do next. */
void submit_arm_next(struct server *server);
/* The timer has fired. */
void submit_handle_timer(struct server *server);

/* -- poll.c ------------------------------------------------------------------------ */

/* What a poll of an open file finds, as POLLIN and so on. */
unsigned poll_find(struct tree *tree, const struct node *node, const struct file_row *row,
                   const struct shared_handle *handle);
/* Wakes those who poll a file that these events changed. */
void poll_wake(struct server *server, const struct engine_event *events);
/* Wakes all who poll: a call may have been lost with the last worker. */
void poll_wake_all(struct server *server);

#endif
