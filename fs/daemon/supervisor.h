/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds the mount and starts a worker whenever there is none. It does nothing
 * else, so that nothing can go wrong in it: it opens no file of the tree, keeps
 * no state of the filesystem and sleeps until something happens.
 */
#ifndef CHRONOS_DAEMON_SUPERVISOR_H
#define CHRONOS_DAEMON_SUPERVISOR_H

#include "mount.h"

#include <stdbool.h>

struct supervisor {
    struct mount *mount;
    int shared_fd, handles_fd, ledger_fd; /* for worker_fds */
    int lock_fd;                          /* workers hold it too */
    int program_fd;                       /* what a worker executes; O_PATH */
    const char *program_path;             /* where SIGHUP finds a newer one */
    /* Called once, when the tree can be used. Not 0: stop again. */
    int (*ready)(void *context);
    void *context;
    bool detached; /* nobody sees stderr once the tree can be used */
};

/* Blocks the signals that supervisor_run waits for. Before mounting, so that none
 * can end the program in between. */
void supervisor_block_signals(void);
/* Serves until a signal, an unmount or a worker that cannot be started ends it;
 * then unmounts. Returns the exit status of the program. Closes what it was given. */
int supervisor_run(const struct supervisor *supervisor);

#endif
