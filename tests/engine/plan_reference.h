/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of what waits again, written as simply as possible: an array of promises, and every
 * question answered by trying each second. Shares no code with the engine except the structs of its
 * interface. See plan_model.c.
 */
#ifndef CHRONOS_TESTS_ENGINE_PLAN_REFERENCE_H
#define CHRONOS_TESTS_ENGINE_PLAN_REFERENCE_H

#include "core/engine/engine.h"

#define PLAN_DEVICES  4
#define PLAN_PROMISES 48
#define PLAN_ACCOUNTS 4

struct promise {
    struct partition p;
    struct waiting w; /* while it is pending */
};

struct plan {
    struct engine_device devices[PLAN_DEVICES];
    uint32_t device_count;
    struct promise promises[PLAN_PROMISES + 1]; /* in order of id; the last: see plan_preempt */
    size_t count;
    int64_t freed_ns[PLAN_DEVICES]; /* ENGINE_FOREVER: nothing; one less: fill only */
    int usage[PLAN_ACCOUNTS];       /* of uid 1000 and up; less comes first */
    uint32_t forward_most;
    int64_t slack; /* how much later than planned one may start, as a multiple of its wait */
    uint32_t reorder_most;
    bool reorder_due;
    int64_t spare_s; /* high ones preempt low ones, not twice in this time; negative: never */
    int64_t every_s; /* those with an odd uid start at multiples of it */
    uint64_t moves, reorders, preempted;
};

struct promise *plan_find(struct plan *plan, uint64_t id);
/* The memory promised to others than `but_id`. */
uint64_t plan_promised(const struct plan *plan, uint32_t device, int64_t at_ns, uint64_t but_id);
/* Whether `promise` could start at `at_ns`, and on which devices: of those in `only` (a bit each).
 */
bool plan_fits(const struct plan *plan, const struct promise *promise, int64_t at_ns, uint32_t only,
               struct share *ret_shares);
/* Find the earliest place of a promise from `from_ns` and before `before_ns`, in seconds. */
bool plan_earliest(const struct plan *plan, struct promise *promise, int64_t from_ns,
                   int64_t before_ns, uint32_t only);
/* The bytes of a promise on a device; 0: it must not or cannot be there. */
uint64_t plan_bytes_on(const struct plan *plan, const struct promise *promise, uint32_t device);
/* Add a promise that starts now in the room of low leases, which wait again. False: it cannot. */
bool plan_preempt(struct plan *plan, struct promise *promise, int64_t now_ns, int64_t spared_ns);
void plan_mark(struct plan *plan, const struct partition *p, int64_t from_ns);
void plan_end(struct plan *plan, struct promise *promise, int64_t at_ns);
/* All that is due until `now_ns`, and all passes. */
void plan_advance(struct plan *plan, int64_t now_ns);
void plan_passes(struct plan *plan, int64_t now_ns);

#endif
