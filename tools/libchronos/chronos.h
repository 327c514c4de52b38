/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of GPUs for a limited time, from C and C++. The library reads and writes the files of a
 * mounted chronosfs, as a shell would, and can do no more than one.
 *
 * Calls return 0 or more when they succeed, and a negative errno, such as -ENOSPC, when they fail.
 * chronos_get_last_error() then says why, in a sentence for people. On failure every result is
 * unchanged. Texts end with NUL; a caller's text is only read during the call.
 *
 * Any thread may make any call on any handle at any time; only chronos_partitioner_destroy() must
 * come after all other calls on its handle. There are no locks: no call waits for another thread,
 * and a program may fork at any time. A call waits only for the answer of chronosfs. Nothing
 * prints, exits, installs a signal handler or changes the environment.
 *
 * chronosfs may be replaced between calls. If it was started again, the next call finds it.
 */
#ifndef CHRONOS_H
#define CHRONOS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define CHRONOS_ID_SIZE    32   /* room for the id of any partition, such as "p12" */
#define CHRONOS_ANY_DEVICE (-1) /* the device that config/placement chooses */

/* A tree, and the partitions that are held through it. As long as a handle exists, umount(8) finds
 * the tree busy; stopping chronosfs works. */
typedef struct chronos_partitioner *ChronosPartitionerHandle;

/* A partition. Later versions use what is reserved, which is zero. */
typedef struct {
    char partition_id[64]; /* such as "p12"; never used again */
    int device_index;      /* 0 for gpu0 */
    double memory_fraction;
    int duration_seconds;       /* from start to end */
    int time_remaining_seconds; /* rounded up */
    char username[256];         /* the owner, as chronosfs spells the name */
    int process_id;             /* of the process that created it */
    int active;                 /* 1 from its start to its end, but while it is suspended */
    int expiring;               /* 1 once the warning before its end was given */
    char name[72];              /* its label; "": none */
    uint64_t memory_bytes;      /* the limit */
    uint64_t memory_used_bytes;
    uint64_t memory_peak_bytes;
    int pending; /* 1 while it waits; its files "start" and "promised" say until when */
    uint64_t reserved[7];
} ChronosPartitionInfo;

/* A device. Later versions use what is reserved, which is zero. */
typedef struct {
    int device_index; /* 0 for gpu0 */
    char name[160];
    char vendor[160];
    char type[32];    /* "GPU", "ACCELERATOR" or "CPU" */
    char backend[32]; /* how it was found, such as "nvml" */
    char uuid[96];    /* "": not known */
    char pci[32];     /* its PCI address; "": not known */
    uint64_t memory_total_bytes;
    uint64_t memory_used_bytes;      /* given to partitions */
    uint64_t memory_available_bytes; /* for a request now */
    double available_percent;        /* for a request now, from 0 to 100 */
    int partitions;                  /* how many it has */
    uint64_t reserved[8];
} ChronosDeviceStats;

typedef enum {
    CHRONOS_MODE_CONCURRENT = 0,  /* programs run side by side: MPS or MIG */
    CHRONOS_MODE_TIME_SLICED = 1, /* the driver switches between programs */
    CHRONOS_MODE_STUB = 2         /* no device can be read */
} ChronosExecutionMode;

/* What chronos_wait() returns. */
enum {
    CHRONOS_ENDED = 0,
    CHRONOS_ACTIVE = 1,
    CHRONOS_EXPIRING = 2, /* the warning was given: little time is left */
    CHRONOS_PENDING = 3   /* it waits for its start, or is suspended */
};

/* -- handles ------------------------------------------------------------------------------ */

/* Find the mounted chronosfs as chronos(1) does: CHRONOS_MOUNT, a tree of the caller's own, then
 * that of root. Return a handle, which the caller destroys, or NULL. */
ChronosPartitionerHandle chronos_partitioner_create(void);

/* Use the chronosfs that is mounted on the directory MOUNT; NULL: find it. The caller destroys
 * *RET_HANDLE. -ENOENT: there is none; -EACCES: another user's; -ENOTCONN: it is no longer
 * running. */
int chronos_partitioner_open(const char *mount, ChronosPartitionerHandle *ret_handle);

/* Free a handle; NULL is fine. Partitions requested with the word "hold" end, unless another
 * process, such as a forked child, still has a copy of the handle. The others stay. */
void chronos_partitioner_destroy(ChronosPartitionerHandle handle);

/* Return the directory of the tree. It belongs to the handle. */
const char *chronos_get_mount(ChronosPartitionerHandle handle);

/* Return why the calling thread's last failed call failed, as a sentence, or "". It belongs to the
 * library and is valid until the thread's next failure. */
const char *chronos_get_last_error(void);

/* -- partitions --------------------------------------------------------------------------- */

/* Request MEMORY_FRACTION (above 0, at most 1) of a device's memory for DURATION_SECONDS, for
 * TARGET_USER (NULL: the caller; others: administrators only). DEVICE_INDEX may be
 * CHRONOS_ANY_DEVICE. The id is written to PARTITION_ID, CHRONOS_ID_SIZE bytes or more. The
 * partition lasts until its end, and longer than the program if it is not released. A fraction
 * means the shortest decimal number that it is read from, to 15 digits: ten times 0.1 is the whole
 * device. -ENOSPC: not enough memory is free; -EINVAL: not understood, or outside the policy;
 * -EDQUOT: the user has too many partitions; -EPERM: not for this caller; -ENODEV: no such
 * device. */
int chronos_create_partition(ChronosPartitionerHandle handle, int device_index,
                             double memory_fraction, int duration_seconds, const char *target_user,
                             char *partition_id, size_t partition_id_size);

/* The same with a request as it is written to the file `new`, such as
 * "20G 1h30m name=training on_expiry=none"; see chronos(5). DEVICE is "0", "gpu0" or "any". With
 * the word "hold" the handle holds the partition: it ends when it is released, when the handle is
 * destroyed, or when the program ends, however it ends. A forked child has a copy of the handle,
 * and holds it too until it destroys the copy, executes another program or ends. With the word
 * "queue", "wait=600" or "start=+2h" the partition can be pending: wait for its start with
 * chronos_wait(). */
int chronos_request_partition(ChronosPartitionerHandle handle, const char *device,
                              const char *request, char *partition_id, size_t partition_id_size);

/* Ask what a request, as for chronos_request_partition(), could get now: TEXT, of SIZE bytes, gets
 * a line for each request that would be accepted, and at last a sentence. Nothing is requested. */
int chronos_suggest(ChronosPartitionerHandle handle, const char *device, const char *request,
                    char *text, size_t size);

/* End a partition now. Its processes, the caller too if it belongs to it, are ended as its
 * on_expiry says: leave first. -ENOENT: it has ended; -EPERM: it is another user's. */
int chronos_release_partition(ChronosPartitionerHandle handle, const char *partition_id);

/* Give a partition this many SECONDS more, or less if negative. -ENOSPC: another one has the
 * memory by then; -ENOENT: it has ended. */
int chronos_extend_partition(ChronosPartitionerHandle handle, const char *partition_id,
                             int64_t seconds);

/* Return how many seconds the partition has left, rounded up; 0: it has ended. */
int64_t chronos_remaining(ChronosPartitionerHandle handle, const char *partition_id);

/* Read all about one partition. -ENOENT: it has ended. */
int chronos_get_partition(ChronosPartitionerHandle handle, const char *partition_id,
                          ChronosPartitionInfo *ret_partition);

/* List the partitions, oldest first, into an array of *COUNT. Then *COUNT is how many there are,
 * which can be more than fit. PARTITIONS may be NULL, to count. Partitions whose owners hide them
 * are left out. */
int chronos_list_partitions(ChronosPartitionerHandle handle, ChronosPartitionInfo *partitions,
                            size_t *count);

/* Read a file of a partition, such as "memory_used" or "enforcement"; see chronos(5). TEXT, of SIZE
 * bytes, gets it without its last newline, cut off where it does not fit. */
int chronos_get_value(ChronosPartitionerHandle handle, const char *partition_id, const char *name,
                      char *text, size_t size);

/* Write VALUE to a file of a partition: another "fraction", "name", "on_expiry", "grace" or
 * "warn". */
int chronos_set_value(ChronosPartitionerHandle handle, const char *partition_id, const char *name,
                      const char *value);

/* -- programs ----------------------------------------------------------------------------- */

/* Add a process (0: the caller) and the children that it starts from then on to a partition, with
 * which they end. -EPERM: the process or the partition is another user's; -ESRCH: no such
 * process. */
int chronos_join(ChronosPartitionerHandle handle, const char *partition_id, pid_t pid);

/* Take a process (0: the caller) and its children out of its partition, so that they outlive it.
 * -EPERM: the policy requires programs to end with their partition. */
int chronos_leave(ChronosPartitionerHandle handle, pid_t pid);

/* Read the variables for programs in the partition, as lines NAME=VALUE. The caller frees
 * *RET_TEXT with free(). They must be set before a program makes its first call of OpenCL or CUDA;
 * OPENCL_LAYERS and LD_PRELOAD are lists with colons, and go before what the program has in them;
 * LD_PRELOAD must be set before it is executed. */
int chronos_get_environment(ChronosPartitionerHandle handle, const char *partition_id,
                            char **ret_text);

/* Return a descriptor, which the caller closes, for chronos_wait() and for poll(2), which reports
 * POLLPRI when the state of the partition changes, and POLLERR at its end. It is closed on exec. */
int chronos_fd(ChronosPartitionerHandle handle, const char *partition_id);

/* Wait until the state of the partition of FD changes, since the descriptor was made or its last
 * state was returned, for TIMEOUT_MS at most; negative: as long as it takes. Return the new state:
 * CHRONOS_EXPIRING, CHRONOS_ACTIVE (it started or got more time) or CHRONOS_ENDED. With 0 the
 * present state is returned at once, which can be CHRONOS_PENDING. -ETIMEDOUT: no change; -EINTR: a
 * signal was handled. */
int chronos_wait(int fd, int timeout_ms);

/* -- devices ------------------------------------------------------------------------------ */

/* Return how many per cent of a device a request can get now, or a negative errno. */
double chronos_get_available_percentage(ChronosPartitionerHandle handle, int device_index);

/* List the devices into an array of *COUNT. Then *COUNT is how many there are, which can be more
 * than fit. DEVICES may be NULL, to count. */
int chronos_get_device_stats(ChronosPartitionerHandle handle, ChronosDeviceStats *devices,
                             size_t *count);

/* Return how programs share the first device now. */
ChronosExecutionMode chronos_get_execution_mode(ChronosPartitionerHandle handle);

/* Return how the first device was found when the handle was made, such as "opencl" or "nvml", or
 * "none". It belongs to the handle. */
const char *chronos_get_backend_name(ChronosPartitionerHandle handle);

/* Return 1 if programs run side by side on the first device of the mounted chronosfs now, else
 * 0. */
int chronos_check_concurrent_support(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
