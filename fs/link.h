/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line to the kernel, as a worker sees it: a mount that others have served
 * before it. The kernel says FUSE_INIT once in the life of a mount; here every
 * worker hears it, from the recording, and only the first one's answer is sent.
 */
#ifndef CHRONOS_FS_LINK_H
#define CHRONOS_FS_LINK_H

#include "shared.h"
#include "worker.h"

#include <stdbool.h>
#include <stdint.h>

/* The most that one write carries; a line is far shorter. */
#define LINK_WRITE_MAX 65536u

struct link;
struct fuse_lowlevel_ops;

/* What the library does not tell of the request being served. */
struct link_request {
    uint64_t unique;  /* the kernel's number of it, without the resend bit */
    bool resent;      /* a worker that died had read it: it may have been done */
    uint64_t poll_kh; /* of a POLL: whom to wake */
};

/* Maps what the supervisor holds and makes a session of `ops` that is not yet
 * connected. `userdata`, which the handlers get, must begin with a struct link *
 * that the caller sets to the result. 0 or -errno. */
int link_open(const struct worker_fds *fds, void *userdata, const struct fuse_lowlevel_ops *ops,
              struct link **ret_link);
struct link *link_close(struct link *link);
struct shared *link_shared(struct link *link);
/* Goes through the greeting; asks for what a dead worker read and left. */
int link_start(struct link *link);
/* Serves one request: reads all that are there and takes one of the user whose turn
 * it is. 0; -EAGAIN: none is there; -ENODEV: unmounted; -errno. */
int link_serve(struct link *link);
/* Whether requests were read that are not served: then there is no waiting. */
bool link_holds(const struct link *link);
/* Serves those, and reads no more: before a worker stops. */
void link_serve_rest(struct link *link);
/* The request being served. */
const struct link_request *link_current(const struct link *link);
/* Whether every repeated request has been served: the kernel puts them before all
 * others. */
bool link_after_resent(const struct link *link);
/* Whether link_forget_names works: only then may names of what can end early be
 * remembered. Known after link_start. */
bool link_has_epochs(const struct link *link);
/* The kernel forgets all names it remembers. Takes no lock there. Any thread. */
void link_forget_names(struct link *link);
/* The kernel forgets the attributes of a node. Takes no lock there. Any thread. */
void link_forget_node(struct link *link, uint64_t node_id);
/* Wakes whoever polls the open file that the kernel calls `kh`. */
int link_notify_poll(struct link *link, uint64_t kh);

#endif
