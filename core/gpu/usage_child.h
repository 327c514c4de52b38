/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the process that calls the drivers, as its parent sees it: starting it
 * from a program with many threads, and getting rid of it. It must not know what is
 * said over the socket.
 */
#ifndef CHRONOS_GPU_USAGE_CHILD_H
#define CHRONOS_GPU_USAGE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct usage_child {
    pid_t pid;  /* 0: there is none */
    int socket; /* does not block; -1: there is none */
    int pidfd;  /* readable when it has ended, also if a helper of the driver has our
                 * socket; -1: there is none, or the kernel is old */
    int status; /* how the last one ended, for waitpid's macros; -1: not known */
};

/* Starts `program` with --meter. 0 or -errno; *child must have none. */
int usage_child_start(struct usage_child *child, const char *program);
/* Kills it with all that it started, and waits for a moment until it is gone; if it
 * seems to end by itself, waits for that first, so that `status` tells how. Returns 0,
 * or the pid of one that cannot be killed now: usage_child_gone tells later. */
pid_t usage_child_end(struct usage_child *child, bool by_itself);
/* True when the process has ended, and waits for usage_child_end. */
bool usage_child_has_ended(const struct usage_child *child);
/* True when the process that usage_child_end could not end has gone since. */
bool usage_child_gone(pid_t pid);

#endif
