/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a worker: the tree, the session with the kernel, and the threads that may block. It
 * belongs to one thread, the loop. The files of this room, from the top down; a file uses only
 * those below it:
 *
 *   worker.c     starts, serves, stops
 *   recover.c    restores the engine from the store; recover_host.c starts the host thread
 *   ops.c        read-only requests
 *   listing.c    requests that list a directory
 *   write.c      requests that change something
 *   read.c       requests that read a file
 *   backup.c     reads of the file `backup`
 *   results.c    results of the host thread
 *   pending.c    requests that wait for the host thread
 *   reply.c      how a request is started, answered and refused
 *   submit.c     sends the engine's events to the committer, reverts them on failure
 *   poll.c       wakes pollers
 *   committer.c  makes changes durable and answers them, on a thread of its own
 *   snapshot.c   makes backups, on that thread
 *   invalidate.c invalidates the kernel's caches
 *   cached.c     which attributes the kernel may have cached
 *   session.c    the conversation with the kernel: requests, answers, notifications
 *   intake.c     reads requests and says which is next
 *   requests.c   keeps requests that are not answered for the next worker
 *   fair_queue.c whose turn it is
 *   busy_poll.c  how long to look for the next request
 *   settings.c   makes the settings of a file, at the start
 */
#ifndef CHRONOS_FUSE_SERVER_H
#define CHRONOS_FUSE_SERVER_H

#include "busy_poll.h"
#include "committer.h"
#include "core/host/host.h"
#include "fs/tree/calendar_windows.h"
#include "fs/tree/files.h"
#include "fs/tree/handles.h"
#include "fs/tree/members.h"
#include "fs/tree/texts.h"
#include "session.h"
#include "worker.h"

struct pending;
struct status_writer;

/* A backup that is being read: the open file, and its memory. */
struct backup {
    uint64_t fh; /* 0: free */
    int fd;
};
#define BACKUPS_MAX 4 /* only root can have them */

/* Requests of one kind that wait for the host thread, oldest first. They share one timeout, so the
 * first expires first. */
struct pending_queue {
    struct pending *first, **last;
};
enum pending_kind { PENDING_USAGE, PENDING_MEMBERS, PENDING_JOIN, PENDING_KINDS };

struct server {
    struct session *session; /* must be first: session.c finds itself through it */
    struct tree tree;
    struct handles handles;
    struct members members;
    struct texts texts;
    struct backup backups[BACKUPS_MAX];
    struct gpu_device devices[TREE_DEVICE_MAX];
    struct store *store;
    struct committer *committer;
    struct host *host;
    struct policy host_policy;     /* the policy that the host thread has */
    struct host_state *host_state; /* its last report about itself; NULL: none yet */
    int64_t sampled_ns;            /* time of the last usage sample */
    int64_t joined_ns;             /* when a process last joined: older snapshots are stale */
    struct pending_queue pending[PENDING_KINDS];
    uint64_t join_number;
    struct calendar_windows windows; /* of quotas; filled in again from calendar_until_ns on */
    int64_t calendar_until_ns;
    int64_t zone_seen_ns;              /* when the time zone was looked at last */
    int timer_fd, clock_fd, signal_fd; /* clock_fd: readable when the wall clock was set */
    int64_t armed_ns;                  /* when the timer fires; ENGINE_FOREVER: not set */
    int64_t record_due_ns;             /* when to record the time and usage next */
    int64_t failure_logged_ns;         /* when a change that failed was logged last; 0: never */
    uint64_t failures_unlogged;        /* since then */
    int64_t repaired_offset_ns;        /* the wall clock's when the plan was repaired last */
    bool repair_is_due;                /* of the plan, whatever the clock says */
    int64_t portion_ns;                /* when the last portion of many ends was done */
    struct store_reply *replies;       /* answers that a dead worker may not have sent */
    size_t reply_count, reply_capacity;
    struct host_partition *ended; /* have ended; until the host thread takes them */
    size_t ended_count, ended_capacity;
    char instance[24];                   /* names this state's groups of processes */
    char sharing_root[SHARING_PATH_MAX]; /* for the directories of sharing modes */
    int exit_code;                       /* enum worker_exit, valid once `stopping` */
    int mounts_fd;                       /* tells when the mount table has changed */
    bool mounts_changed;                 /* since it was looked through */
    struct busy_poll busy_poll;
    int processors;        /* how many the loop may use, as of processors_ns */
    int64_t processors_ns; /* when that was asked, by tree.now_ns */
    bool stopping;
    bool has_requests; /* in the kernel, or read and queued */
};

/* A read-only request of the kernel about a node. */
struct query {
    struct server *server;
    fuse_req_t req;
    struct node node;
    const struct file_row *row; /* of a file in the table, else NULL */
    size_t size;
    off_t offset;
    struct fuse_file_info *fi;
    uint64_t unique; /* of a write: the number that the kernel gave it */
    bool belongs;    /* the caller is known to belong to the partition */
    bool late;       /* the host thread has not said in time what the file shows */
    bool undurable;  /* the disk takes no changes now: show what they would be */
};

/* -- worker.c: see worker.h -------------------------------------------------------- */

/* -- recover.c --------------------------------------------------------------------- */

/* Open the store and restore the state. 0 or -errno, which is logged. */
int recover_state(struct server *server);
/* Start the host thread with the restored partitions. 0 or -errno. */
int recover_host(struct server *server);

/* -- ops.c ------------------------------------------------------------------------- */

extern const struct fuse_lowlevel_ops ops_table;

/* -- listing.c --------------------------------------------------------------------- */

void listing_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void listing_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi);
void listing_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi);

/* -- covered.c --------------------------------------------------------------------- */

/* Begin to watch the mount table. */
void covered_open(struct server *server);
/* Call it before the kernel is given a name. If it is that of `partitions`, note in the shared
 * memory whether a user has mounted something over it. */
void covered_look(struct server *server, const struct node *named);

/* -- read.c ------------------------------------------------------------------------ */

void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
               struct fuse_file_info *fi);
/* Forget what is kept for readers of a file that is being closed. */
void read_close(struct server *server, struct shared_handle *handle, uint64_t fh);

/* -- backup.c ---------------------------------------------------------------------- */

/* Return whether the opener may have a backup: it shows what users hide. */
bool backup_is_permitted(const struct query *query);
/* Answer a read. Each open file has a backup of its own, made by its first read. */
void backup_read(const struct query *query);
/* Forget the backup of a file that is being closed, if there is one. */
void backup_close(struct server *server, uint64_t fh);

/* -- write.c ----------------------------------------------------------------------- */

void write_line(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                struct fuse_file_info *fi);
void write_attributes(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                      struct fuse_file_info *fi);
void write_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void write_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void write_close(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* -- results.c --------------------------------------------------------------------- */

/* Process all results of the host thread. */
void results_handle(struct server *server);
/* Answer every request that waits for the host thread, before the worker stops. Give them one
 * second. */
void results_finish(struct server *server);

/* -- pending.c --------------------------------------------------------------------- */

/* A request goes on; `data` is what it writes. */
typedef void pending_asked_fn(const struct query *query, const char *data);
/* Return true if the request waits for fresh data of the host thread; `answer` is called when the
 * data arrives or the wait times out. Return false to answer at once: the data at hand is fresh
 * enough, or none can be had. */
bool pending_read(struct query *query, void (*answer)(const struct query *query));
/* Answer readers that asked at at_ns or earlier for the members of partition `id` or, with
 * HOST_USAGE, for usage. */
void pending_answer(struct server *server, uint64_t id, int64_t at_ns);
/* Let a process join as the write asks, and answer the write then. 0 or -errno; on error the caller
 * answers. */
int pending_join(struct server *server, fuse_req_t req, const struct write *write, size_t size);
/* Ask whether the caller belongs to the node's partition, and call `asked` with `belongs` set if
 * it does; refuse the request otherwise. Only `fi` and `data` (size bytes, NULL: none) are copied.
 * 0 or -ENOMEM. */
int pending_ask(const struct query *query, const char *data, pending_asked_fn *asked);
void pending_joined(struct server *server, const struct host_result *result);
/* Refuse joins of partitions that were taken back, which are those from first_id on. */
void pending_failed(struct server *server, uint64_t first_id);
/* Time out requests that have waited too long, and arm the timer for the next one. */
void pending_expire(struct server *server);
/* Time out all requests of a kind. */
void pending_give_up(struct server *server, enum pending_kind kind);

/* -- reply.c ----------------------------------------------------------------------- */

/* Read the clock, end expired partitions, and find the node of a request. Return false, with the
 * request answered, if the inode number is invalid. */
bool reply_enter(fuse_req_t req, fuse_ino_t ino, struct query *ret_query);
/* Convert a refusal code or -errno to an errno. */
int reply_errno(int result);
void reply_error(fuse_req_t req, int result);
/* Refuse a request that changes something, with `message` in the writer's `status`. "": the text of
 * the errno. */
void reply_refusal(struct server *server, fuse_req_t req, const struct status_writer *writer,
                   int result, const char *message);
/* Remember that the kernel may cache attributes of the node. Call before they are sent. */
void reply_note_cached(const struct query *query, const struct node *node, double timeout_s);
/* Convert attributes to a struct stat. */
void reply_stat(const struct attributes *attributes, struct stat *ret_stat);
/* Fill in the answer to a lookup of the node or, if `listed`, its entry in a listing. 0 or -errno.
 */
int reply_fill_entry(const struct query *query, const struct node *node, bool listed,
                     struct fuse_entry_param *ret_entry);
/* Answer a read with the part of the text that it asks for. */
void reply_text(const struct query *query, const char *text, size_t length);

/* -- used.c ------------------------------------------------------------------------ */

/* A partition is used. Records it if that is the first use of a reservation. */
void used_note(struct server *server, uint64_t id);
/* A list of members has come: it is used if there are some, or if it was charged once. */
void used_members(struct server *server, const struct host_result *result);

/* -- submit_time.c ----------------------------------------------------------------- */

void submit_read_clocks(struct server *server);
/* Return when the time and usage must be recorded; ENGINE_FOREVER: there is none. */
int64_t submit_record_due_ns(const struct server *server);
/* Plan again what has no room any more, and move appointments with the wall clock: after a start,
 * and when the clock was set. */
void submit_repair(struct server *server);
/* Make the timer fire at at_ns or earlier. */
void submit_arm(struct server *server, int64_t at_ns);
/* Tell the engine where days and weeks begin, by the present clocks. */
void submit_set_calendar(struct server *server);
/* Arm the timer for the next thing that submit_tick or the usage write has to do. */
void submit_arm_next(struct server *server);
/* Make clock_fd. 0 or -errno. */
int submit_watch_clock(struct server *server);

/* -- submit.c ---------------------------------------------------------------------- */

/* Read the clocks and end expired partitions. Call it before any decision. */
void submit_tick(struct server *server);
/* Count for `metrics` what there is now; again when the accounts of uids have changed. */
void submit_count_all(struct server *server);
/* Return whether a request must wait because the plan is not finished: it would do all that is left
 * at once, and others would wait for it. A session_waits_fn. */
bool submit_waits(void *server, uint64_t node_id);
/* Submit the events of the engine since the last call to the committer. `answer` (copied; NULL: no
 * client waits) is sent when they are durable. */
void submit_events(struct server *server, const struct change *answer);
/* Revert and refuse the changes that could not be made durable. Return the smallest id of
 * partitions that were taken back; UINT64_MAX: none was. */
uint64_t submit_handle_failure(struct server *server);
/* End held partitions whose file is not open any more: files of an earlier mount, or files whose
 * close was not made durable. 0 or -errno. */
int submit_close_unheld(struct server *server);
/* Call when the timer fires. */
void submit_handle_timer(struct server *server);
/* Call when the wall clock was set. */
void submit_handle_clock(struct server *server);

/* -- poll.c ------------------------------------------------------------------------ */

/* Return the poll events (POLLIN and so on) of an open file. */
unsigned poll_find(struct tree *tree, const struct node *node, const struct file_row *row,
                   const struct shared_handle *handle);
/* Note that pollers of files that these events changed are to be woken. */
void poll_wake(struct server *server, const struct engine_event *events);
/* If a pass of the plan is finished: show it, and note those who poll queues. */
void poll_wake_queues(struct server *server);
/* Note that all are: a wake-up may have been lost with the last worker. */
void poll_wake_all(struct server *server);
/* Wake some of those. Call it between requests. */
void poll_wake_some(struct server *server);

#endif
