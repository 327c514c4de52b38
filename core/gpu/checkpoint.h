/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint port: move what processes have on a device to the memory of the machine, and back.
 * Their driver hangs and crashes, so calls run in a driver process (driver.h) with a time limit;
 * the caller never waits: it asks, polls the descriptor, and takes the answer. It must not know
 * partitions, nor in which order calls make sense.
 *
 *     checkpoint_new(&options, &checkpoint);
 *     checkpoint_ask(checkpoint, CHECKPOINT_LOCK, pids, count, 10000);
 *     poll(checkpoint_fd(checkpoint), POLLIN)          until checkpoint_due_ns
 *     if (checkpoint_take(checkpoint, &answer) != -EAGAIN) ...
 *     checkpoint_free(checkpoint);
 *
 * A process that is frozen must never be asked: the call hangs, past its own time limit.
 */
#ifndef CHRONOS_GPU_CHECKPOINT_H
#define CHRONOS_GPU_CHECKPOINT_H

#include "gpu.h"

#define CHECKPOINT_PROCESS_MAX 1024

/* A call is made for all processes at once. */
enum checkpoint_call {
    CHECKPOINT_LOOK,    /* their states, what they have on the device, and the rest of the answer */
    CHECKPOINT_LOCK,    /* let what runs on the device finish, and begin nothing new */
    CHECKPOINT_SAVE,    /* move the memory of a locked one to the machine */
    CHECKPOINT_RESTORE, /* back to the device. Without room, the process is lost */
    CHECKPOINT_UNLOCK,  /* go on */
    CHECKPOINT_FIGURES, /* as CHECKPOINT_LOOK, but ask no process: for frozen ones */
    CHECKPOINT_CALLS
};

/* What the driver says of a process; numbers of CUprocessState. */
enum checkpoint_state {
    CHECKPOINT_RUNNING = 0,
    CHECKPOINT_LOCKED = 1,
    CHECKPOINT_SAVED = 2,
    CHECKPOINT_FAILED = 3,
    CHECKPOINT_NONE = 4, /* it does not use CUDA, or was not asked */
};

/* Results of the driver that callers tell apart; numbers of CUresult. */
enum {
    CHECKPOINT_DONE = 0,
    CHECKPOINT_NO_MEMORY = 2,
    CHECKPOINT_NOT_READY = 600,     /* the time to lock it was too short: it runs on */
    CHECKPOINT_ILLEGAL_STATE = 401, /* not in the state that the call needs */
    CHECKPOINT_NOT_SUPPORTED = 801,
};

/* Plain data: the answer of a driver process. */
struct checkpoint_answer {
    uint32_t magic, number; /* not for callers */
    int32_t result;         /* 0; -EOPNOTSUPP: this driver cannot do it */
    uint32_t count;         /* processes, in the order in which they were asked about */
    /* by CHECKPOINT_LOOK and CHECKPOINT_FIGURES */
    uint32_t known;         /* whether the device's memory and its processes are known */
    uint32_t split;         /* the device is a part of another one */
    uint64_t free_bytes;    /* of the device */
    uint64_t machine_bytes; /* of the machine, which are free for all */
    uint64_t host_bytes;    /* of these, which all the processes may have beside what they have
                             */
    char note[192];         /* why not, one line; or "" */
    struct checkpoint_process {
        int32_t pid;
        int32_t result; /* CUresult */
        uint32_t state; /* by CHECKPOINT_LOOK: enum checkpoint_state */
        uint64_t bytes; /* on the device, by CHECKPOINT_LOOK and CHECKPOINT_FIGURES */
    } process[CHECKPOINT_PROCESS_MAX];
};

static inline size_t checkpoint_answer_bytes(uint32_t count)
{
    return offsetof(struct checkpoint_answer, process) + count * sizeof(struct checkpoint_process);
}

struct checkpoint;

struct checkpoint_options {
    const struct gpu_device *device; /* that the processes use; copied */
    const char *program;             /* executed with --driver; NULL: this one; borrowed */
    const char *proc;                /* "/proc"; copied */
};

/* Start no process yet. 0 or -ENOMEM. */
int checkpoint_new(const struct checkpoint_options *options, struct checkpoint **ret_checkpoint);
/* End its process, whatever it does; what it did stays. Accepts NULL; returns NULL. */
struct checkpoint *checkpoint_free(struct checkpoint *checkpoint);

/* Ask about `count` processes; no question may be open. The call may take limit_ms in all, and for
 * CHECKPOINT_LOCK half of that for each process. 0 or -errno. */
int checkpoint_ask(struct checkpoint *checkpoint, enum checkpoint_call call, const int32_t *pids,
                   uint32_t count, int limit_ms);
/* Readable when checkpoint_take should be called; -1: no question is open. */
int checkpoint_fd(const struct checkpoint *checkpoint);
/* When to call it in any case, by CLOCK_MONOTONIC; INT64_MAX: no question is open. */
int64_t checkpoint_due_ns(const struct checkpoint *checkpoint);
/* Take the answer, which is valid until the next call. 0; -EAGAIN: not yet; else the question is
 * over without an answer, and what was done is not known: -ETIMEDOUT (the process was killed),
 * -EPIPE (it crashed), -EBADMSG. The next question goes to a new process. */
int checkpoint_take(struct checkpoint *checkpoint, const struct checkpoint_answer **ret_answer);

/* -- adapters ------------------------------------------------------------------------------- */

struct checkpoint_ops {
    struct checkpoint *(*free)(struct checkpoint *checkpoint);
    int (*ask)(struct checkpoint *checkpoint, enum checkpoint_call call, const int32_t *pids,
               uint32_t count, int limit_ms);
    int (*fd)(const struct checkpoint *checkpoint);
    int64_t (*due_ns)(const struct checkpoint *checkpoint);
    int (*take)(struct checkpoint *checkpoint, const struct checkpoint_answer **ret_answer);
};

/* The first member of each adapter's own struct. */
struct checkpoint {
    const struct checkpoint_ops *ops;
};

/* "running", "locked", "checkpointed", "failed" or "without CUDA". */
const char *checkpoint_state_text(uint32_t state);

#endif
