/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints in memory, for tests of their callers: a device, and processes that have something
 * there. Calls answer at once, or never. It notes what a caller must not do: ask a frozen process,
 * and restore one without room.
 */
#ifndef CHRONOS_GPU_CHECKPOINT_FAKE_H
#define CHRONOS_GPU_CHECKPOINT_FAKE_H

#include "checkpoint.h"

#define CHECKPOINT_FAKE_MAX 64

struct checkpoint_fake_device {
    uint64_t total_bytes, others_bytes, host_bytes; /* others: of processes that are not listed */
    bool unknown, split, unsupported;
    struct checkpoint_fake_process {
        int32_t pid;
        uint32_t state;
        uint64_t bytes; /* also while it is saved */
        bool lost;      /* a restore had no room */
    } process[CHECKPOINT_FAKE_MAX];
    uint32_t count;
    int32_t fails[CHECKPOINT_CALLS]; /* result for all processes; 0: none */
    bool hangs[CHECKPOINT_CALLS];
    uint32_t calls[CHECKPOINT_CALLS]; /* how often each was made for a process, or for none */
    /* what went wrong */
    uint32_t asked_frozen, restored_without_room;
    bool (*is_frozen)(void *context, int32_t pid); /* NULL: none is */
    void *context;
};

/* Open the port to a device, which is borrowed. 0 or -ENOMEM. */
int checkpoint_fake_new(struct checkpoint_fake_device *device, struct checkpoint **ret_checkpoint);
/* What is free on the device now. */
uint64_t checkpoint_fake_free_bytes(const struct checkpoint_fake_device *device);
struct checkpoint_fake_process *checkpoint_fake_find(struct checkpoint_fake_device *device,
                                                     int32_t pid);

#endif
