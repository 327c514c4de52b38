/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usage reader: how much of each device is in use, and by which process, as the vendors report
 * it. Their drivers hang, crash and send invalid answers, so they run in a driver process
 * (driver.h), which is started on demand. The caller never blocks on it: ask, wait until the
 * descriptor is readable, take the answer. It must not know partitions or which process belongs to
 * one.
 *
 *     usage_reader_new(list.device, list.count, NULL, &reader);
 *     usage_reader_ask(reader);
 *     poll(usage_reader_fd(reader), POLLIN)                 the descriptor never changes
 *     if (usage_reader_take(reader, &usage) == 0) ...       each time it is readable
 *     usage_reader_free(reader);
 *
 * One thread uses a reader and should live as long as it: the kernel kills the driver process when
 * the thread that started it ends. Between questions nothing wakes up, except once when the idle
 * process exits.
 */
#ifndef CHRONOS_GPU_USAGE_H
#define CHRONOS_GPU_USAGE_H

#include "gpu.h"

#define GPU_BYTES_UNKNOWN     UINT64_MAX /* used, but the driver does not report how much */
#define GPU_USAGE_PROCESS_MAX 4096

/* Usage of one device. */
struct gpu_usage_device {
    bool known;          /* false: no vendor reports it; used_bytes is 0 */
    bool summed;         /* the driver reports no total: sum over its processes */
    char backend[16];    /* the vendor that reported it: nvml, drm; "none" if no vendor did */
    uint64_t used_bytes; /* by all processes, in a partition or not, and the driver itself */
    char note[192];      /* why usage is unknown, one line for the administrator ("The nvml driver
                          * did not answer within 2 s while reading usage."); or "" */
};

/* Usage of one device by one process; at most one row for each pair. */
struct gpu_usage_process {
    /* As the driver reports it: in the daemon's pid namespace on the machines tried. Passed on even
     * if no such process exists here. */
    int32_t pid;
    uint32_t device;       /* index in the array passed to usage_reader_new */
    uint64_t memory_bytes; /* or GPU_BYTES_UNKNOWN */
    /* The part of it that processes of other users have open, too (drm): it may be theirs, because
     * a process can be handed a descriptor without asking for it. */
    uint64_t shared_bytes;
    /* How long the process kept the device busy, a counter; 0: not yet known, or the driver does
     * not report it. It never decreases while the process is in every answer. After an answer
     * without the process it may restart, and the pid may belong to another process by then: check
     * its start time.
     *
     * drm: what the kernel has counted since the process opened the device, in nanoseconds, summed
     * over the engines, so it can grow faster than time. Intel's xe reports cycles instead of time:
     * 0.
     *
     * nvml: the driver samples about six times a second which process runs a kernel. Since the
     * previous question it reports, for each process, the share of samples that found it running,
     * in whole percent; that share of the time is counted. So counting starts at the second
     * question; of a pause of more than 10 s only the last 10 s count, because the driver keeps
     * about 12 s; a process that ends between two questions is missed; a kernel on one of many
     * multiprocessors counts as much as one on all of them. Seen on an H200: a process that
     * computes half of the time is reported as 0.50, whether asked every second or every five; the
     * figures of six competing processes add up to the elapsed time, and two equal processes differ
     * by 15 % after 10 s. */
    uint64_t busy_ns;
};

struct gpu_usage {
    int64_t asked_ns; /* CLOCK_MONOTONIC time of usage_reader_ask */
    int64_t took_ns;  /* from then until the answer was complete */
    uint32_t device_count;
    uint32_t process_count;
    uint32_t process_lost; /* rows dropped for lack of space: those using the least memory */
    struct gpu_usage_process process[GPU_USAGE_PROCESS_MAX]; /* by device, then by pid */
    struct gpu_usage_device device[GPU_DEVICE_MAX];
};

/* NULL or 0 selects the default, which each comment gives. Texts are copied. */
struct usage_options {
    const char *program; /* executed with --driver; NULL: this one */
    const char *proc;    /* "/proc" */
    const char *sys;     /* "/sys" */
    int timeout_ms;      /* 2000: kill the process when a vendor takes longer */
    int first_ms; /* 10000: the same for a new process's first question, which can wake devices */
    int idle_ms;  /* 60000: the process exits after this long without a question */
    int retry_ms; /* 60000: do not ask a driver again for this long after a failure */
    int64_t (*now_ns)(void); /* CLOCK_MONOTONIC; tests replace it */
};

struct usage_reader;

/* Create a reader for `count` devices (at most GPU_DEVICE_MAX), identified by uuid, else by PCI
 * address if no other device has the same. Starts no process yet. `options` may be NULL. Free it
 * with usage_reader_free. Return 0, -EINVAL (too many devices, a text that is too long), or -errno
 * from the kernel. */
int usage_reader_new(const struct gpu_device *devices, uint32_t count,
                     const struct usage_options *options, struct usage_reader **ret_reader);
/* End the process; wait at most 0.2 s if it is stuck. Accepts NULL; returns NULL. */
struct usage_reader *usage_reader_free(struct usage_reader *reader);

/* Ask for usage; start the process if there is none. Does nothing if a question is open or an
 * answer has not been taken. Never fails: errors appear in the notes of the answer, which arrives
 * within first_ms or timeout_ms per vendor. Takes about 0.1 ms, 0.5 ms if the process must be
 * started. */
void usage_reader_ask(struct usage_reader *reader);
/* Becomes readable (POLLIN) when usage_reader_take should be called. Stays the same for the life of
 * the reader. Do not read or close it. */
int usage_reader_fd(const struct usage_reader *reader);
/* Return 0 and an answer, each only once; *ret_usage is valid until the next call with this reader
 * (except usage_reader_fd). Return -EAGAIN if there is none yet. Call it whenever the descriptor
 * is readable, even with no open question: it also reaps an ended process. */
int usage_reader_take(struct usage_reader *reader, const struct gpu_usage **ret_usage);

#endif
