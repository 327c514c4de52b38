/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hold the mount and start a worker whenever there is none. It does nothing else, so that little
 * can go wrong: it opens no file of the tree, keeps no state of the filesystem and sleeps until an
 * event.
 */
#ifndef CHRONOS_DAEMON_SUPERVISOR_H
#define CHRONOS_DAEMON_SUPERVISOR_H

#include "mount.h"

#include <stdbool.h>

struct supervisor {
    struct mount *mount;
    int shared_fd, handles_fd, ledger_fd; /* passed on in worker_fds */
    int lock_fd;                          /* workers inherit it */
    int program_fd;                       /* program that a worker executes; O_PATH */
    const char *program_path;             /* SIGHUP opens a newer program here */
    /* Called once, when the tree is usable. A non-zero result stops the supervisor. */
    int (*ready)(void *context);
    /* Called at SIGHUP, before the worker is replaced. NULL: nothing to do. */
    void (*reload)(void *context);
    void *context;
    bool detached; /* stderr is closed once the tree is usable */
    int ready_ms;  /* a worker that is not ready by then counts as one that died */
};

/* Block the signals that supervisor_run waits for. Call it before mounting, so that none ends the
 * program in between. */
void supervisor_block_signals(void);
/* Serve until a signal, an unmount or a worker that cannot be started, then unmount and close the
 * given descriptors. Returns the exit status of the program. */
int supervisor_run(const struct supervisor *supervisor);

#endif
