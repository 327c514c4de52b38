/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line to the kernel, as a worker sees it: a mount that others have served
 * before it. The kernel says FUSE_INIT once in the life of a mount; here every
 * worker hears it, from the recording, and only the first one's answer is sent.
 */
#ifndef CHRONOS_FUSE_SESSION_H
#define CHRONOS_FUSE_SESSION_H

#include "fs/tree/shared.h"
#include "worker.h"

#include <stdbool.h>
#include <stdint.h>

/* The most that one write carries; a line is far shorter. */
#define SESSION_WRITE_MAX 65536u

struct session;
struct fuse_lowlevel_ops;

/* What the library does not tell of the request being served. */
struct session_request {
    uint64_t unique;  /* the kernel's number of it, without the resend bit */
    bool resent;      /* a worker that died had read it: it may have been done */
    uint64_t poll_kh; /* of a POLL: whom to wake */
};

/* Maps what the supervisor holds and makes a session of `ops` that is not yet
 * connected. `userdata`, which the handlers get, must begin with a struct session *
 * that the caller sets to the result. 0 or -errno. */
int session_open(const struct worker_fds *fds, void *userdata, const struct fuse_lowlevel_ops *ops,
                 struct session **ret_session);
struct session *session_close(struct session *session);
struct shared *session_shared(struct session *session);
/* Goes through the greeting; asks for what a dead worker read and left. */
int session_start(struct session *session);
/* Serves one request: reads all that are there and takes one of the user whose turn
 * it is. 0; -EAGAIN: none is there; -ENODEV: unmounted; -errno. */
int session_serve(struct session *session);
/* Whether requests were read that are not served: then there is no waiting. */
bool session_holds(const struct session *session);
/* Serves those, and reads no more: before a worker stops. */
void session_serve_rest(struct session *session);
/* The request being served. */
const struct session_request *session_current(const struct session *session);
/* Whether every repeated request has been served: the kernel puts them before all
 * others. */
bool session_after_resent(const struct session *session);
/* Whether session_forget_names works: only then may names of what can end early be
 * remembered. Known after session_start. */
bool session_has_epochs(const struct session *session);
/* The kernel forgets all names it remembers. Takes no lock there. Any thread. */
void session_forget_names(struct session *session);
/* The kernel forgets the attributes of a node. Takes no lock there. Any thread. */
void session_forget_node(struct session *session, uint64_t node_id);
/* Wakes the pollers of the open file that the kernel calls `kh`. */
int session_notify_poll(struct session *session, uint64_t kh);

#endif
