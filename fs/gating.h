/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate, as the keeper drives it: finds out which device nodes there are, lets
 * those open them who hold a partition (config/gate), closes them again when somebody
 * else opened them, and puts everything back when it is switched off. Only one thread,
 * the keeper's, uses it. It must not know the engine nor processes.
 *
 * The owner of a live partition may open the own nodes of its device and the nodes that
 * the devices of its vendor share; so may its group, if the partition's mode lets its
 * group write. A mode that lets everybody write opens nothing to everybody.
 */
#ifndef CHRONOS_FS_GATING_H
#define CHRONOS_FS_GATING_H

#include "holdings.h"

#include "../core/gpu/gpu.h"

#include <stdbool.h>
#include <stdint.h>

struct gating;

/* Something for the log that is about no partition: its word, and details. */
typedef void gating_note_fn(void *context, const char *word, const char *details);

struct gating_start {
    const struct gpu_device *devices; /* borrowed; their index is that of holdings */
    uint32_t device_count;
    const char *state_dir;           /* borrowed */
    const struct holdings *holdings; /* borrowed: all live partitions */
    gating_note_fn *note;
    void *context;
};

/* 0 or -ENOMEM. Nothing is done before the first gating_set. */
int gating_new(const struct gating_start *start, struct gating **ret_gating);
/* Leaves the nodes as they are; returns NULL. */
struct gating *gating_free(struct gating *gating);

/* What config/gate says. Off also puts back what a daemon that died had closed. */
void gating_set(struct gating *gating, bool on);
/* Somebody came to hold a partition, or no longer does. */
void gating_touch(struct gating *gating);
/* Does what is due: nothing, most of the time. now_ns: CLOCK_BOOTTIME. */
void gating_step(struct gating *gating, int64_t now_ns);
/* When gating_step must be called next; INT64_MAX never. */
int64_t gating_next_ns(const struct gating *gating);
/* Readable when somebody did something to a node: gating_step sees to it. -1: none. */
int gating_fd(const struct gating *gating);

/* Whether only holders can open the nodes of a device now. */
bool gating_holds(const struct gating *gating, uint32_t device);
/* What is wrong with the gate, as one sentence, or "". */
const char *gating_why(const struct gating *gating);

#endif
