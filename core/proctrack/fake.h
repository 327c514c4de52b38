/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An in-memory process tracker, for tests of its callers. Fake processes only have a parent, a user
 * and a record of the signals sent to them. Open it with mode "fake". Nothing outlives
 * proctrack_close.
 */
#ifndef CHRONOS_PROCTRACK_FAKE_H
#define CHRONOS_PROCTRACK_FAKE_H

#include "proctrack.h"

/* Start a process of `uid` as a child of `parent`, in the same partition (0: no parent, no
 * partition). Return its pid, 1000 or more and never reused, or -ENOMEM. */
pid_t proctrack_fake_start(struct proctrack *proctrack, pid_t parent, uid_t uid);
/* Put it into a cgroup, such as "/box", where its next children start, too. */
int proctrack_fake_put(struct proctrack *proctrack, pid_t pid, const char *cgroup);
/* Start another process with a pid that was used before, as kernels do. */
int proctrack_fake_reuse(struct proctrack *proctrack, pid_t pid, uid_t uid);
/* End the process; with `zombie`, it has not been waited for. Does nothing if it has ended. */
void proctrack_fake_end(struct proctrack *proctrack, pid_t pid, bool zombie);
/* Make the process hang in the kernel: it cannot be stopped, and SIGKILL does not end it, until
 * this is called with false. */
void proctrack_fake_stick(struct proctrack *proctrack, pid_t pid, bool stuck);
bool proctrack_fake_alive(const struct proctrack *proctrack, pid_t pid);
bool proctrack_fake_frozen(const struct proctrack *proctrack, pid_t pid);
/* How many signals `signo` were delivered to it (frozen processes get none). */
unsigned proctrack_fake_signals(const struct proctrack *proctrack, pid_t pid, int signo);

#endif
