/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two ends of a usage reader share: the messages between the asker (meter.c) and
 * the process that calls the drivers (usage_process.c), and what a backend is. It
 * must not know any backend.
 */
#ifndef CHRONOS_GPU_USAGE_INTERNAL_H
#define CHRONOS_GPU_USAGE_INTERNAL_H

#include "usage.h"
#include "usage_rows.h"

#define USAGE_MAGIC       0x43684d31u /* both ends are the same program, so no versions */
#define USAGE_BACKEND_MAX 8           /* bits of a question */
#define USAGE_PATH_MAX    256
#define USAGE_FD          3 /* where the process finds its end of the socket */

/* The first message to the process. Plain data, as all of them are. */
struct usage_hello {
    uint32_t magic;
    uint32_t device_count;
    int32_t idle_ms;
    int32_t retry_ms;
    char proc[USAGE_PATH_MAX];
    char sys[USAGE_PATH_MAX];
    char nvml[USAGE_PATH_MAX];
    struct usage_identity {
        char uuid[64];
        char pci[32];
    } device[GPU_DEVICE_MAX];
};

struct usage_question {
    uint32_t magic;
    uint32_t number;
    uint32_t backends; /* bits: who is asked */
};

/* One for each backend that was asked, in the order of the list; process_count rows of
 * struct gpu_usage_process follow. */
struct usage_answer {
    uint32_t magic;
    uint32_t number;
    uint32_t backend;
    uint32_t process_count;
    uint32_t process_lost;
    char note[192]; /* why it knows nothing, if something is wrong */
    struct usage_device {
        bool known, summed;
        uint64_t used_bytes;
        char note[192]; /* it knows the device, but something is wrong */
    } device[GPU_DEVICE_MAX];
};

struct usage_backend {
    const char *name; /* at most 15 characters */
    const char *help;
    /* Makes what it keeps between questions; touches no driver. 0 or -ENOMEM. There is
     * no way to close it: the process just ends, because the driver's end may hang. */
    int (*open)(const struct usage_hello *hello, void **ret_state);
    /* busy_ns must be a figure of the kernel's, or begin at 0 at the first question.
     * Fills answer->device[] and ->note (both zeroed) and adds rows, one at most for
     * each pid and device. Not to have the driver is no error and has no note. */
    void (*sample)(void *state, const struct usage_hello *hello, struct usage_answer *answer,
                   struct usage_rows *rows);
};

extern const struct usage_backend usage_nvml;
extern const struct usage_backend usage_drm;

/* True when everything in `answer` and its rows can be: nothing that a process says
 * is believed unseen. */
bool usage_answer_is_good(const struct usage_answer *answer, const struct gpu_usage_process *rows,
                          uint32_t device_count);
/* The index of the device of `hello` that has this uuid, else this pci address, or -1.
 * Either text may be "". Knows that GPU-AB.. and gpu-ab.., 00000000:3B:00.0 and
 * 0000:3b:00.0 are the same. */
int usage_match(const struct usage_hello *hello, const char *uuid, const char *pci);

int64_t usage_now_ns(void); /* CLOCK_MONOTONIC */

#endif
