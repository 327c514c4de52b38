/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-memory twin of the process tracker, for tests of what uses one: made-up processes,
 * which do nothing but have a parent, a user and a list of signals they were sent.
 * Open it with mode "fake". Nothing outlives proctrack_close.
 */
#ifndef CHRONOS_PROCTRACK_FAKE_H
#define CHRONOS_PROCTRACK_FAKE_H

#include "proctrack.h"

/* Starts a process of `uid`, a child of `parent` and in the same partition (0: of
 * nobody, in none). Returns its pid, 1000 and more, never the same again; or -ENOMEM. */
pid_t proctrack_fake_start(struct proctrack *proctrack, pid_t parent, uid_t uid);
/* Another process with a pid that was used before, as kernels do it. */
int proctrack_fake_reuse(struct proctrack *proctrack, pid_t pid, uid_t uid);
/* It ends; `zombie`: nobody has waited for it yet. Nothing happens if it ended. */
void proctrack_fake_end(struct proctrack *proctrack, pid_t pid, bool zombie);
/* It hangs in the kernel: SIGKILL does not end it before it is called with false. */
void proctrack_fake_stick(struct proctrack *proctrack, pid_t pid, bool stuck);
bool proctrack_fake_alive(const struct proctrack *proctrack, pid_t pid);
bool proctrack_fake_frozen(const struct proctrack *proctrack, pid_t pid);
/* How often it was sent signal `signo`, and delivered (not while frozen). */
unsigned proctrack_fake_signals(const struct proctrack *proctrack, pid_t pid, int signo);

#endif
