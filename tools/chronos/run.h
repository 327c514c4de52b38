/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program and stands in for it: the caller sees signals, stops and the end as if
 * it had started the program itself.
 *
 *     chronos run     a subreaper: adopts what the program leaves behind
 *     `- program, and all that it starts, also after setsid and a double fork
 *
 * The program stays in the caller's process group and has its terminal. As a shell's job,
 * this process leaves that group while the program runs, so a signal to the group reaches
 * the program by itself, and one to this process alone is passed on: each arrives once.
 * Elsewhere, as in a script, it stays, and what others send to the group arrives twice.
 *
 * It must not know of partitions or of the tree: what they need is in the callbacks.
 */
#ifndef CHRONOS_TOOLS_RUN_H
#define CHRONOS_TOOLS_RUN_H

#include <stdint.h>

/* Exit statuses that are not the program's: as env(1), nohup(1) and timeout(1) have them. */
enum run_exit {
    RUN_FAILED = 125,
    RUN_NOT_EXECUTABLE = 126,
    RUN_NOT_FOUND = 127,
};

/* What becomes of the processes that the program left behind. */
struct run_leftover {
    enum { RUN_KEEP, RUN_TERM, RUN_KILL } action;
    int64_t grace_ms; /* RUN_TERM: from SIGTERM to SIGKILL */
};

struct run {
    const char **words; /* the program and its arguments; ends with NULL */
    /* Before the program starts: what it inherits. Returns 0, or an exit status, having
     * said why. Signals still act on this process as the caller set them. */
    int (*prepare)(void *context);
    /* The partition ended, and its members were sent SIGTERM, this process among them. */
    void (*expired)(void *context);
    /* The program ended by itself. */
    struct run_leftover (*ended)(void *context);
    void *context;
};

/* Runs the program until it and, unless they are kept, its leftovers are gone. Takes this
 * process over: standard input and output are closed, signals are blocked, and nothing
 * is put back. 0 and *ret_status as from wait(2); or an exit status if no program was
 * started, having said why. */
int run_program(const struct run *run, int *ret_status);
/* What to return from main for a status of wait(2). Does not return if the program died
 * of a signal: then this process dies of the same. */
int run_exit_like(int status);

#endif
