/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a function in a child process, for calls that can wait for a user where not even SIGKILL ends
 * them: listing or changing a directory whose lock is held, or looking up a name there. The caller
 * takes the answer, or leaves the child behind. The child has a copy of the memory, one thread, and
 * of the descriptors only those it needs. Both have one end of a SOCK_SEQPACKET socket: an answer
 * is one message or several, with descriptors or without, and there can be questions.
 *
 * The caller has threads, and the function uses malloc: that needs a libc whose fork leaves malloc
 * usable in the child, as glibc's does.
 */
#ifndef CHRONOS_BASE_CHILD_H
#define CHRONOS_BASE_CHILD_H

#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    int socket; /* the caller's end */
};

/* Runs in the child and writes its answer to `socket`. Return 0 or -errno. */
typedef int child_fn(void *context, int socket);

/* Start a child that keeps only the `count` descriptors of `keep`. Call child_leave or child_kill
 * in the end. 0 or -errno. */
int child_start(child_fn *fn, void *context, const int *keep, size_t count,
                struct child *ret_child);
/* Read the next message of the answer; what is longer than `size` is lost. Return its length; 0 at
 * the end; -EINPROGRESS if nothing comes for limit_ms (-1: no limit); or another -errno. */
ssize_t child_read(const struct child *child, void *data, size_t size, int limit_ms);
/* Wait for the end of the child, once. Return what its function returned, -EIO if it was killed or
 * returned what cannot be told (-EINPROGRESS, or no errno), or -EINPROGRESS after limit_ms. A long
 * answer must be read before. */
int child_wait(struct child *child, int limit_ms);
/* Forget the child; if it still runs, it goes on. */
void child_leave(struct child *child);
/* Kill the child and forget it. One that cannot be killed now ends when its call returns. */
void child_kill(struct child *child);

#endif
