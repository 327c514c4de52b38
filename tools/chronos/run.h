/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a program and behave like it: signals, job control, exit status.
 *
 *     chronos run     a subreaper: adopts the processes that the program leaves behind
 *     `- program, and all its descendants, also after setsid and a double fork
 *
 * The program stays in the caller's process group and has its terminal. As a shell's job, this
 * process leaves that group while the program runs: a signal to the group reaches the program
 * directly, a signal to this process alone is forwarded, and each arrives once. Otherwise, as
 * in a script, this process stays in the group, and a signal that another process sends to the
 * group arrives twice.
 *
 * It must not know of partitions or of the tree: the callbacks do.
 */
#ifndef CHRONOS_TOOLS_RUN_H
#define CHRONOS_TOOLS_RUN_H

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses that are not the program's, as in env(1), nohup(1) and timeout(1). */
enum run_exit {
    RUN_FAILED = 125,
    RUN_NOT_EXECUTABLE = 126,
    RUN_NOT_FOUND = 127,
};

/* How to end the processes that the program left behind. */
struct run_leftover {
    enum { RUN_KEEP, RUN_TERM, RUN_KILL } action;
    int64_t grace_ns; /* RUN_TERM: from SIGTERM to SIGKILL */
};

struct run {
    const char **words; /* the program and its arguments; ends with NULL */
    /* Set up what the program inherits, before it starts. Signals still have the caller's
     * dispositions. 0, or an exit status after printing the reason. */
    int (*prepare)(void *context);
    /* Handle a SIGTERM to the members, this process included. Return whether the partition has
     * ended; otherwise it was a warning. */
    bool (*expired)(void *context);
    /* Say how to end the leftovers, after the program ended. */
    struct run_leftover (*ended)(void *context);
    void *context;
};

/* Run the program and return when it and its leftovers, unless they are kept, have ended. Changes
 * this process for good: standard input and output are closed, signals are blocked. 0 and
 * *ret_status as from wait(2); or an exit status if the program was not started, after printing the
 * reason. */
int run_program(const struct run *run, int *ret_status);
/* Return the exit code of main for a status of wait(2). If the program died of a signal, die of the
 * same signal instead. */
int run_exit_like(int status);

#endif
