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
 */
#ifndef CHRONOS_FS_SERVER_H
#define CHRONOS_FS_SERVER_H

#include "change.h"
#include "link.h"
#include "tree.h"
#include "worker.h"

struct server {
    struct link *link; /* first: link.c finds itself through it */
    struct tree tree;
    struct store *store;
    struct committer *committer;
    int timer_fd, epoll_fd, signal_fd;
    int64_t armed_ns;            /* what the timer is set to; ENGINE_FOREVER not set */
    struct store_reply *replies; /* answers a dead worker may not have given */
    size_t reply_count, reply_capacity;
    int exit_code; /* enum worker_exit once `stopping` */
    bool stopping;
};

/* -- submit.c ----------------------------------------------------------------- */

/* Reads the clocks and ends what is up. Call it before anything is decided. */
void server_tick(struct server *server);
/* Sends what the engine did since the last call on its way to disk; `change`
 * carries the answer (copied; a reply kind of REPLY_NONE for none). */
void server_submit(struct server *server, const struct change *answer);
/* Takes back what could not be made durable and refuses it. */
void server_handle_failure(struct server *server);
/* Sets the timer to the engine's next moment. */
void server_arm(struct server *server);

/* -- restore.c ---------------------------------------------------------------- */

/* Opens the store and puts everything back. 0 or -errno, said on the log. */
int server_restore(struct server *server);
/* Ends the partitions tied to open files that are not open: those of another
 * mount, and those whose close was not made durable. 0 or -errno. */
int server_close_unheld(struct server *server);

/* -- writes.c ----------------------------------------------------------------- */

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
               struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                 struct fuse_file_info *fi);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* -- ops.c -------------------------------------------------------------------- */

extern const struct fuse_lowlevel_ops server_ops;
struct server *server_of(fuse_req_t req);
/* The server and the node of a request, the clock read; answers and returns NULL
 * when the number names nothing. */
struct server *server_enter(fuse_req_t req, fuse_ino_t ino, struct node *ret_node);
/* What the kernel is told of a node. 0 or -errno. */
int server_fill_entry(struct server *server, const struct node *node, uint32_t uid,
                      struct fuse_entry_param *entry);
/* Puts attributes into the kernel's form. */
void server_stat(const struct attributes *attributes, struct stat *ret_stat);
/* What a refusal code or a -errno is to a caller. */
int server_errno(int result);

/* -- listing.c ------------------------------------------------------------------ */

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                 struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                     struct fuse_file_info *fi);

/* -- polling.c ------------------------------------------------------------------ */

void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
              struct fuse_pollhandle *ph);
/* Tells those who poll a file that these events changed. */
void server_wake_pollers(struct server *server, const struct engine_event *events);
/* Tells all who poll: a wake-up may have been lost with the last worker. */
void server_wake_all(struct server *server);

#endif
