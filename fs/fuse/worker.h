/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker serves the tree. The supervisor starts it again whenever it dies.
 */
#ifndef CHRONOS_FUSE_WORKER_H
#define CHRONOS_FUSE_WORKER_H

/* What the supervisor hands to a worker it executes: open descriptors. */
struct worker_fds {
    int fuse;    /* the mount's /dev/fuse descriptor */
    int shared;  /* memfd of a struct shared */
    int handles; /* memfd of struct shared_handle[]; the worker grows it */
    int ledger;  /* memfd of what partitions used; the worker grows it */
    int ready;   /* write end of a pipe: the worker writes one byte when the tree can be used */
};

/* How a worker process ends, for the supervisor. */
enum worker_exit {
    WORKER_STOPPED = 0,    /* SIGTERM: everything is durable and answered */
    WORKER_UNMOUNTED = 10, /* the kernel says the mount is gone */
    WORKER_REPLACE = 11,   /* SIGHUP: everything is durable; start the program anew */
    WORKER_FATAL = 12,     /* a new worker would fail the same way (said on stderr) */
};

/* Serves until told to stop; returns an enum worker_exit. */
int worker_run(const struct worker_fds *fds);

#endif
