/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers hang, crash, print, start helpers and leave threads behind, so they run in a process of
 * their own: this program again (`chronosfs --driver FD`), connected by a socket. This header
 * declares what both ends share and how the parent manages the process. driver_child.c must not
 * know what is asked.
 *
 * The socket carries a struct gpu_setup, then questions; each question is answered by the selected
 * vendors in order: a struct driver_devices, or a struct usage_answer followed by its rows. Both
 * ends are the same program, so the protocol has no version.
 */
#ifndef CHRONOS_GPU_DRIVER_H
#define CHRONOS_GPU_DRIVER_H

#include "vendor.h"

#include <sys/types.h>

#define DRIVER_MAGIC 0x43684d32u
#define DRIVER_FD    3 /* the process finds its end of the socket here */

enum driver_kind {
    DRIVER_DEVICES,    /* list the devices */
    DRIVER_USAGE,      /* report the usage of the devices in the setup */
    DRIVER_SURVEY,     /* see survey.h; the last question */
    DRIVER_CHECKPOINT, /* a struct checkpoint_question follows; see checkpoint.h */
};

struct driver_question {
    uint32_t magic;
    uint32_t number;
    uint32_t kind;    /* enum driver_kind */
    uint32_t vendors; /* bit mask of the vendors to ask */
};

struct driver_devices {
    uint32_t magic;
    uint32_t number;
    uint32_t vendor;
    int32_t result; /* result of the vendor's probe */
    struct gpu_list list;
};

/* Bytes of the messages, without the devices that do not exist. */
static inline size_t driver_setup_bytes(uint32_t device_count)
{
    return offsetof(struct gpu_setup, device) + device_count * sizeof(struct gpu_identity);
}
static inline size_t driver_devices_bytes(uint32_t device_count)
{
    return offsetof(struct driver_devices, list.device) + device_count * sizeof(struct gpu_device);
}
static inline size_t driver_usage_bytes(uint32_t device_count)
{
    return offsetof(struct usage_answer, device) + device_count * sizeof(struct usage_device);
}

/* Implement `chronosfs --driver FD`: serve questions on FD until the other end is closed or the
 * process has been idle for setup.idle_ms. Call it at the very start of main, while there is only
 * one thread. Return the exit status; 2, without output, if `fd_text` is not such a descriptor. */
int driver_process(const char *fd_text, const struct gpu_vendor *const *vendors);

/* -- the parent's side -- */

struct driver_child {
    pid_t pid;  /* 0: no process */
    int socket; /* non-blocking; -1: none */
    int pidfd;  /* readable once the process has ended, even if a helper of the driver still has
                 * our socket; -1: none, or the kernel has no pidfd */
    int status; /* wait status of the last process; -1: unknown */
};
#define DRIVER_CHILD_NONE                                                                          \
    {                                                                                              \
        .socket = -1, .pidfd = -1, .status = -1                                                    \
    }

/* Start `program` with --driver and send `setup`. Safe in a multi-threaded program, but the kernel
 * kills the process when the calling thread ends. *child must have no process. Return 0 or -errno;
 * even then call driver_child_end, because the process may have started. */
int driver_child_start(struct driver_child *child, const char *program,
                       const struct gpu_setup *setup);
/* Return false if the process is gone or does not read. */
bool driver_child_send(const struct driver_child *child, const void *data, size_t size);
/* Read until *got reaches `size`, without blocking. Return 1 when complete, 0 when not yet, -EPIPE
 * if the process has ended or closed its end. */
int driver_child_receive(const struct driver_child *child, void *buffer, size_t size, size_t *got);
/* Wait until there is something to receive, or the process ends. False: the time is up. */
bool driver_child_poll(const struct driver_child *child, int64_t deadline_ns);
/* Kill the process and everything it started, and wait up to 0.2 s until it is gone. With
 * `by_itself`, first wait as long for it to end by itself, so that `status` shows how. Return 0,
 * or the pid of a process that cannot be killed now: pass it to driver_child_gone later. */
pid_t driver_child_end(struct driver_child *child, bool by_itself);
/* The same without waiting. */
pid_t driver_child_drop(struct driver_child *child);
/* True if the process has ended and driver_child_end has not reaped it. */
bool driver_child_has_ended(const struct driver_child *child);
/* True once the process that driver_child_end could not end is gone; reaps it. */
bool driver_child_gone(pid_t pid);
/* Describe how the last process ended: "crashed (Segmentation fault)". */
void driver_child_describe_end(const struct driver_child *child, char *how, size_t size);

#endif
