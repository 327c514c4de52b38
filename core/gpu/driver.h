/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking drivers: they hang, crash, print, start helpers and leave threads behind, so they
 * are called in a process of its own, this program again (`chronosfs --driver FD`), at
 * the other end of a socket. This is what both ends share, and its life as the parent sees
 * it. driver_child.c must not know what is asked.
 *
 * The socket carries a struct gpu_setup, then questions; for each question the answers of
 * the vendors asked, in order: struct driver_devices, or struct usage_answer with rows.
 * Both ends are the same program, so there are no versions.
 */
#ifndef CHRONOS_GPU_DRIVER_H
#define CHRONOS_GPU_DRIVER_H

#include "vendor.h"

#include <sys/types.h>

#define DRIVER_MAGIC   0x43684d32u
#define DRIVER_FD      3 /* where the process finds its end of the socket */
#define DRIVER_PROGRAM "/proc/self/exe"

enum driver_kind {
    DRIVER_DEVICES, /* which devices are there */
    DRIVER_USAGE,   /* how those of the setup are used */
};

struct driver_question {
    uint32_t magic;
    uint32_t number;
    uint32_t kind;    /* enum driver_kind */
    uint32_t vendors; /* bits: those that are asked */
};

struct driver_devices {
    uint32_t magic;
    uint32_t number;
    uint32_t vendor;
    int32_t result; /* of probe */
    struct gpu_list list;
};

/* What `chronosfs --driver FD` is; returns the exit status. Serves questions on FD until
 * its other end is closed, or it is idle. To be called at the very start of main, while
 * there is one thread. Says nothing if `fd_text` is not such a descriptor: exit status 2. */
int driver_process(const char *fd_text, const struct gpu_vendor *const *vendors);

/* -- the parent's side -- */

struct driver_child {
    pid_t pid;  /* 0: there is none */
    int socket; /* does not block; -1: there is none */
    int pidfd;  /* readable when it has ended, also if a helper of the driver has our
                 * socket; -1: there is none, or the kernel is old */
    int status; /* how the last one ended, for waitpid's macros; -1: not known */
};
#define DRIVER_CHILD_NONE                                                                          \
    {                                                                                              \
        .socket = -1, .pidfd = -1, .status = -1                                                    \
    }

/* Starts `program` with --driver and sends `setup`; fine in a program with many threads.
 * The kernel kills it when the thread that calls this ends. 0 or -errno; *child must have
 * no process. After an error it may have one, to be ended. */
int driver_child_start(struct driver_child *child, const char *program,
                       const struct gpu_setup *setup);
/* False: it is gone, or does not read. */
bool driver_child_send(const struct driver_child *child, const void *data, size_t size);
/* Reads on until *got bytes of `buffer` are `size`, and never waits. 1: they are; 0: not
 * yet; -EPIPE: the process has ended, or closed its end. */
int driver_child_receive(const struct driver_child *child, void *buffer, size_t size, size_t *got);
/* Kills it with all that it started, and waits for a moment until it is gone; if it
 * seems to end by itself, waits for that first, so that `status` tells how. Returns 0,
 * or the pid of one that cannot be killed now: driver_child_gone tells later. */
pid_t driver_child_end(struct driver_child *child, bool by_itself);
/* True when the process has ended, and waits for driver_child_end. */
bool driver_child_has_ended(const struct driver_child *child);
/* True when the process that driver_child_end could not end has gone since. */
bool driver_child_gone(pid_t pid);
/* "crashed (Segmentation fault)": how the last one ended. */
void driver_child_say_end(const struct driver_child *child, char *how, size_t size);

#endif
