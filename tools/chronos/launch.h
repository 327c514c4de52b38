/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a program and stands in for it: whoever called us sees signals, stops
 * and the end as if it had called the program itself. All that the program
 * starts ends with it, and with us, whatever becomes of either.
 *
 *     launcher     what the caller called; outlives everything
 *     `- guard     adopts what the program leaves (a subreaper), starts and ends
 *        `- program, and all that it starts, also what goes away by setsid and
 *                    double fork
 *
 * They share a process group, so what a terminal sends reaches the program by
 * itself; what is sent to the launcher alone is passed on, once. Killing the
 * launcher makes the guard end all (it reads the end of a socket); killing the
 * guard makes the launcher end all (it is a subreaper as well).
 *
 * It must not know of partitions: what they need is in the callbacks.
 */
#ifndef CHRONOS_CHRONOS_LAUNCH_H
#define CHRONOS_CHRONOS_LAUNCH_H

#include <stdint.h>

/* How a launched program ends when it was none of its own doing: as env(1),
 * nohup(1) and timeout(1) say it. */
enum launch_exit {
    LAUNCH_FAILED = 125,    /* the launcher itself failed */
    LAUNCH_NOT_RUN = 126,   /* the program cannot be executed */
    LAUNCH_NOT_FOUND = 127, /* there is no such program */
};

/* What becomes of the processes that the program left behind. */
enum leftover {
    LEFTOVER_STAYS,
    LEFTOVER_TERM, /* SIGTERM, and SIGKILL after the grace */
    LEFTOVER_KILL,
};
struct launch_end {
    enum leftover leftover;
    int64_t grace_ms;
};

struct launch {
    const char **words; /* program and arguments; in argv's memory, its last strings */
    const char *title;  /* what ps shows for the guard: no more than 15 bytes */
    int only;           /* a descriptor that nobody but the launcher may have; -1 none */
    int keep[2];        /* more that it needs until the end; -1 none */
    /* In the guard, before the program is started: what it inherits. Returns 0, or
     * the exit status of the launcher, having said why. */
    int (*prepare)(void *context);
    /* In the launcher, when the program has ended. */
    struct launch_end (*ended)(void *context);
    void *context;
};

/* Runs the program until it and, unless they may stay, its leftovers are gone.
 * Takes over this process: standard input and output are closed, signals are
 * blocked, and nothing is put back. 0 and *ret_status as from wait(2); or an exit
 * status if no program was started, having said why. */
int launch(const struct launch *launch, int *ret_status);
/* What to return from main for a status of wait(2). Does not return if the program
 * died of a signal: then this process dies of the same. */
int launch_exit_like(int status);

#endif
