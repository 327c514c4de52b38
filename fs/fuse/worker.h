/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker serves the tree. The supervisor restarts it whenever it dies.
 */
#ifndef CHRONOS_FUSE_WORKER_H
#define CHRONOS_FUSE_WORKER_H

#include "core/base/shortage.h"

/* Descriptors that the supervisor passes to a worker. */
struct worker_fds {
    int fuse;    /* the mount's /dev/fuse */
    int shared;  /* memfd of a struct shared */
    int handles; /* memfd of struct shared_handle[]; the worker grows it */
    int ledger;  /* memfd of usage records; the worker grows it */
    int ready;   /* pipe: the worker writes one byte when it is ready */
};

/* Exit codes of a worker, for the supervisor. */
enum worker_exit {
    WORKER_STOPPED = 0,    /* SIGTERM: everything is durable and answered */
    WORKER_UNMOUNTED = 10, /* the mount is gone */
    WORKER_REPLACE = 11,   /* SIGHUP: everything is durable; execute the program again */
    WORKER_FATAL = 12,     /* a new worker would fail the same way (the reason is logged) */
    WORKER_SHORT = 13,     /* not enough memory, descriptors or processes: a later one may work */
};

/* Return the exit code of a worker that cannot start or go on, for this -errno. */
static inline int worker_failure(int r)
{
    return shortage_is(r) ? WORKER_SHORT : WORKER_FATAL;
}

/* The environment variable with the settings that the next worker has to make, lines NAME=VALUE; no
 * longer there once a worker is ready. */
#define WORKER_SETTINGS "CHRONOSFS_SETTINGS"

/* Serve until it has to stop. Return an enum worker_exit. */
int worker_run(const struct worker_fds *fds);

#endif
