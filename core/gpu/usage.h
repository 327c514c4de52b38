/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usage reader: how much of each device is in use, and which process uses how much, as
 * the vendors tell. Their drivers hang, crash and talk nonsense, so they are asked in a
 * driver process (driver.h), which is there only while there are questions. Nothing here
 * waits for it: a question is asked, a descriptor becomes readable, the answer is taken.
 * It must not know partitions, nor which process belongs to one.
 *
 *     usage_reader_new(list.device, list.count, NULL, &reader);
 *     usage_reader_ask(reader);
 *     poll(usage_reader_fd(reader), POLLIN)                 the descriptor never changes
 *     if (usage_reader_take(reader, &usage) == 0) ...       each time it is readable
 *     usage_reader_free(reader);
 *
 * One thread uses a reader, and should live as long: the kernel kills the process when the
 * thread that started it ends. While no question is under way nothing wakes up, but for
 * the one time that the idle process ends.
 */
#ifndef CHRONOS_GPU_USAGE_H
#define CHRONOS_GPU_USAGE_H

#include "gpu.h"

#define GPU_BYTES_UNKNOWN     UINT64_MAX /* it uses the device, the driver does not say how much */
#define GPU_USAGE_PROCESS_MAX 4096

/* How a device is used. */
struct gpu_usage_device {
    bool known;          /* false: nobody tells, used_bytes is 0 */
    bool summed;         /* the driver tells no total: the sum of what its processes use */
    char backend[16];    /* the vendor that told: nvml, drm; none if no vendor knows it */
    uint64_t used_bytes; /* by everybody, in a partition or not, and by the driver itself */
    char note[192];      /* why it is not known although it could be ("the nvml driver did
                          * not answer within 2 s"): one line for the administrator; or "" */
};

/* What one process uses of one device; at most one row for each pair. */
struct gpu_usage_process {
    /* As the driver tells it: in the daemon's pid namespace on the machines tried.
     * One that does not exist here is passed on all the same. */
    int32_t pid;
    uint32_t device;       /* index of the array given to usage_reader_new */
    uint64_t memory_bytes; /* or GPU_BYTES_UNKNOWN */
    /* How long it kept the device busy, a counter; 0: not yet, or the driver does not
     * tell. It never goes back for as long as the process is in every answer taken; when
     * it was missing once it may begin again, and a pid can belong to another process by
     * then: look at its start time.
     * drm: what the kernel counted since the process opened the device, to the
     * nanosecond, the sum over the engines, so it can grow faster than time. Intel's xe
     * tells cycles instead of time: 0.
     * nvml: the driver looks some six times a second which process runs a kernel, and tells
     * for each in how many of these looks it did, in whole percent, since the question
     * before; that part of that time is counted. So it begins at the second question; of
     * a pause of more than 10 s the last 10 s count, because the driver remembers about
     * 12; what ended between two questions is missed; a kernel on one of many
     * multiprocessors counts as much as one on all. Seen on an H200: a process that computes for
     * half of the time is told as 0.50, asked each second or each five; of six that
     * compete the figures sum up to the time, and two that do the same differ by 15 %
     * after 10 s. */
    uint64_t busy_ns;
};

struct gpu_usage {
    int64_t asked_ns; /* CLOCK_MONOTONIC, when usage_reader_ask was called */
    int64_t took_ns;  /* from then until the answer was there */
    uint32_t device_count;
    struct gpu_usage_device device[GPU_DEVICE_MAX];
    uint32_t process_count;
    uint32_t process_lost; /* that found no place: those who use least */
    struct gpu_usage_process process[GPU_USAGE_PROCESS_MAX]; /* by device, then by pid */
};

/* NULL or 0 is the default. Texts are borrowed during usage_reader_new. */
struct usage_options {
    const char *program;     /* executed with --driver; "/proc/self/exe" */
    const char *proc;        /* "/proc" */
    const char *sys;         /* "/sys" */
    int timeout_ms;          /* 2000: the process is killed when a vendor takes longer */
    int first_ms;            /* 10000: the same for the first question to a new process: a driver
                              * may have to wake its devices up */
    int idle_ms;             /* 60000: the process ends when it was not asked for so long */
    int retry_ms;            /* 60000: a driver that failed is not asked for so long */
    int64_t (*now_ns)(void); /* CLOCK_MONOTONIC; tests let time pass */
};

struct usage_reader;

/* Remembers uuid and pci of `count` devices (at most GPU_DEVICE_MAX): they are matched
 * by uuid, else by pci address if no other device has the same. Starts nothing yet.
 * `options` may be NULL. The caller frees it with usage_reader_free. 0, -EINVAL (too many
 * devices, a text that is too long), or -errno of what the kernel refused. */
int usage_reader_new(const struct gpu_device *devices, uint32_t count,
                     const struct usage_options *options, struct usage_reader **ret_reader);
/* Ends the process; waits at most 0.2 s for a stuck one. NULL is fine; returns NULL. */
struct usage_reader *usage_reader_free(struct usage_reader *reader);

/* Asks; starts the process if there is none. Does nothing if a question is under way or
 * an answer was not taken yet. Never fails: what goes wrong is told in the notes of the
 * answer, and there will be one within first_ms or timeout_ms for each vendor. Some 0.1 ms, 0.5 ms
 * when the process must be started. */
void usage_reader_ask(struct usage_reader *reader);
/* Readable (POLLIN) when usage_reader_take should be called; the same for as long as the usage
 * reader lives. Not to be read or closed. */
int usage_reader_fd(const struct usage_reader *reader);
/* 0: there is an answer, told once; *ret_usage is valid until the next call with this
 * usage reader (other than usage_reader_fd). -EAGAIN: none yet. To be called whenever the
 * descriptor is readable, also when nothing was asked: it clears up after a process that ended. */
int usage_reader_take(struct usage_reader *reader, const struct gpu_usage **ret_usage);

#endif
