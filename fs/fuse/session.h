/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's connection to the kernel, over a mount that earlier workers may have served. The
 * kernel sends FUSE_INIT once per mount; the supervisor recorded it, every worker processes the
 * recording, and only the first one's answer is sent.
 */
#ifndef CHRONOS_FUSE_SESSION_H
#define CHRONOS_FUSE_SESSION_H

#include "fs/tree/shared.h"
#include "worker.h"

#include <stdbool.h>
#include <stdint.h>

/* The most bytes in one write: the kernel's smallest limit. Lines are far shorter. */
#define SESSION_WRITE_MAX 4096u

struct session;
struct fuse_lowlevel_ops;
struct names;
struct node;

/* What libfuse does not expose of the request being served. */
struct session_request {
    uint64_t unique;  /* the kernel's request number, never used again while mounted */
    bool again;       /* a dead worker had read it and may have executed it */
    uint64_t poll_kh; /* FUSE_POLL: the handle to wake */
};

/* Map the supervisor's memory and create an unconnected session with the handlers `ops`.
 * `userdata`, passed to the handlers, must begin with a struct session * that the caller sets to
 * the result. Users are served in turn by the accounts in `names`, borrowed; NULL: by uid. 0 or
 * -errno. */
int session_open(const struct worker_fds *fds, void *userdata, const struct fuse_lowlevel_ops *ops,
                 const struct names *names, struct session **ret_session);
/* Unmap the memory and free the session; the mount stays. Accepts NULL. Returns NULL. */
struct session *session_close(struct session *session);
/* Return the memory that outlives the worker; valid until session_close. */
struct shared *session_shared(struct session *session);
/* Process FUSE_INIT. 0 or -errno. */
int session_start(struct session *session);
/* Serve one request: read those that are available, and pick by fair_queue.h; first of all, those
 * that a dead worker left. 0; -EAGAIN: none available; -ENODEV: unmounted; other -errno. */
int session_serve(struct session *session);
/* A request that may have to wait for the plan: a write, or a change of a node's time. Set the
 * function that says whether it is put aside now, until session_take_back. */
typedef bool session_waits_fn(void *userdata, uint64_t node_id);
void session_set_waits(struct session *session, session_waits_fn *waits);
void session_take_back(struct session *session);
/* Return whether requests were read and not served yet: do not block then. A worker may stop: the
 * next one serves them. */
bool session_holds(const struct session *session);
/* Return whether no more requests can be read until one is answered. */
bool session_is_full(const struct session *session);
/* The request being served. */
const struct session_request *session_current(const struct session *session);
/* Return whether every request that a dead worker left has been served. */
bool session_after_left(const struct session *session);
/* The kernel gets attributes of a node of a partition; call before the answer leaves. */
void session_note_cached(struct session *session, const struct node *node);
/* Return the set (cached.h) of a partition's nodes of which the kernel may have attributes.
 * Thread-safe. */
uint64_t session_cached(struct session *session, uint64_t id);
/* Invalidate the cached attributes of a node. Takes no lock in the kernel. Thread-safe. */
void session_forget_node(struct session *session, uint64_t node_id);
/* Wake the pollers of the open file with the kernel's handle `kh`. 0 or -errno. */
int session_notify_poll(struct session *session, uint64_t kh);

#endif
