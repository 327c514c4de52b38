/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep devices in their sharing modes: each call of the sharing port runs in a child process, which
 * is ended when it takes too long, so nothing here waits. Modes come from the state, where they are
 * durable before they come here; a mode that needs something running is looked at again every few
 * seconds. Only the host thread uses it. It must not know how a mode is made.
 */
#ifndef CHRONOS_HOST_MODES_H
#define CHRONOS_HOST_MODES_H

#include "core/gpu/gpu.h"
#include "core/proctrack/proctrack.h"
#include "core/sharing/sharing.h"

#include <stdbool.h>
#include <stdint.h>

struct modes;

/* Write a log line about a device. */
typedef void modes_note_fn(void *context, uint32_t device, const char *word, const char *details);

struct modes_start {
    const struct gpu_device *devices; /* borrowed */
    uint32_t device_count;
    const char *root;            /* for the directories of devices; copied */
    struct proctrack *proctrack; /* borrowed */
    modes_note_fn *note;
    void *context;
};

/* 0 or -ENOMEM. All devices are in mode none. */
int modes_new(const struct modes_start *start, struct modes **ret_modes);
/* Bring a device into a mode. */
void modes_set(struct modes *modes, uint32_t device, const struct sharing_mode *mode);
/* Do what is due. */
void modes_step(struct modes *modes, int64_t now_ns);
/* When to call modes_step next; INT64_MAX: never. */
int64_t modes_next_ns(const struct modes *modes);
/* The last report about a device, and its mode. */
const struct sharing_report *modes_report(const struct modes *modes, uint32_t device,
                                          const struct sharing_mode **ret_mode);
/* Whether a process is a client of the device's server, or the server itself. */
bool modes_knows(const struct modes *modes, uint32_t device, int32_t pid);
/* Where clients of the device's server find it; "": there is none. */
const char *modes_pipe(const struct modes *modes, uint32_t device);
/* Whether the processes of a partition on a device can be killed without harm to others. False:
 * they are being parted from the device; ask again. */
bool modes_may_kill(struct modes *modes, uint32_t device, uint64_t id, int64_t now_ns);

#endif
