/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaving the terminal, and telling when the tree can be used: to the process
 * that was started and waits, and to systemd.
 */
#ifndef CHRONOS_FS_DAEMON_H
#define CHRONOS_FS_DAEMON_H

/* Goes on in a process of its own session; the caller's process waits there for
 * daemon_ready() and ends with its status, or with 1 if that never comes. Words
 * on stderr still reach the terminal. The descriptor for daemon_ready(), or
 * -errno. */
int daemon_start(void);
/* Lets the waiting process end with 0 and leaves the terminal for good. 0, or
 * -EPIPE: nobody waits any more. */
int daemon_ready(int fd);
/* Sends lines ("READY=1") to who started us, if it asked to be told. */
void daemon_notify(const char *lines);

#endif
