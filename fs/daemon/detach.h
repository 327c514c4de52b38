/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaving the terminal, and telling when the tree can be used: to the process
 * that was started and waits, and to systemd.
 */
#ifndef CHRONOS_DAEMON_DETACH_H
#define CHRONOS_DAEMON_DETACH_H

/* Goes on in a process of its own session; the caller's process waits there for
 * detach_ready() and ends with its status, or with 1 if that never comes. Words
 * on stderr still reach the terminal. The descriptor for detach_ready(), or
 * -errno. */
int detach_start(void);
/* Lets the waiting process end with 0 and leaves the terminal for good. 0, or
 * -EPIPE: nobody waits any more. */
int detach_ready(int fd);
/* Sends lines ("READY=1") to who started us, if it asked to be told. */
void detach_notify(const char *lines);

#endif
