/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the launcher and its guard: what they tell each other, and what both
 * of them can do. For launch.c, guard.c and children.c only.
 */
#ifndef CHRONOS_CHRONOS_GUARD_H
#define CHRONOS_CHRONOS_GUARD_H

#include "launch.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <sys/types.h>

/* To the guard. */
struct order {
    enum { ORDER_SIGNAL, ORDER_FINISH } kind;
    struct launch_end end; /* ORDER_FINISH: what to do with what is left */
    int64_t at_ns;         /* ORDER_SIGNAL: when the launcher saw it */
    struct signalfd_siginfo info;
};
/* To the launcher. */
struct report {
    enum { REPORT_STARTED, REPORT_ENDED } kind;
    pid_t program;
    int status; /* REPORT_ENDED: as from wait(2) */
};

/* What the program shall find as the launcher found it. */
struct origin {
    sigset_t mask;
    struct sigaction child; /* of SIGCHLD */
};

/* The guard's life, in a new child of the launcher. Returns its exit status. */
int guard_run(const struct launch *launch, const struct origin *origin, int socket);

/* Opens a signalfd for all signals that launch() has blocked. */
int signals_open(void);
/* Blocks all signals that can be passed on, and SIGCHLD. */
void signals_block(sigset_t *ret_before);
/* Whatever was sent to the whole process group when this is called has reached
 * every member of it when it returns. */
void group_settle(void);
int64_t monotonic_ns(void);
/* Closes all descriptors but the `count` in `keep`, which must be above 2. Standard
 * input and output become /dev/null, the error too if `error_too`. */
void descriptors_let_go(const int *keep, size_t count, bool error_too);

/* Children of this process, adopted ones included. */
struct children {
    pid_t *told; /* who got the signal that each gets once */
    size_t count;
};
/* Sends SIGTERM to each child that did not get it yet. */
void children_terminate(struct children *children);
/* Sends SIGKILL to all children; how many could be reached. */
size_t children_kill(void);
struct children children_free(struct children children);
/* Kills and reaps children until none is left that we may kill. *ret_status is set
 * if `program` was among them; it may be 0 and NULL. */
void children_end(pid_t program, int *ret_status);

#endif
