/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage of partitions: what programs have charged (charge.h), what the driver reports, and the
 * peaks. A partition gets an entry with its first figure; entries of ended partitions are freed for
 * others. Owned by the loop thread. It must not know where the figures come from, nor the limits of
 * partitions.
 *
 * A partition is known by its id, and each share of one with several devices by its share_key:
 * what changes there changes the figures of the partition, which are the sums, its peak that of the
 * sum. What is kept over restarts is the partition's.
 *
 * Peaks and busy times are in the supervisor's memory, so they outlive the worker. The table tracks
 * which of them changed, for the store to keep them longer.
 */
#ifndef CHRONOS_TREE_LEDGER_H
#define CHRONOS_TREE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;

/* Figures of one partition; all zero if it has no entry. */
struct ledger_figures {
    uint64_t charged_bytes; /* charged by programs */
    uint64_t driver_bytes;  /* used by its processes, as reported by the driver */
    uint64_t rest_bytes;    /* of these: what they have not charged */
    uint64_t used_bytes;    /* charged and rest, or driver_bytes if that is more */
    /* These two stop at INT64_MAX, the most that the store takes: drivers can report anything. */
    uint64_t peak_bytes; /* maximum of used_bytes so far */
    uint64_t busy_ns;    /* time that the device worked for it */
};

/* Return whether partition `id` exists now. */
typedef bool ledger_alive_fn(void *context, uint64_t id);

/* Create the table over the records in the memfd (borrowed; it grows; -1: private memory). All
 * existing records count as changed. 0 or -errno; the caller frees the table. */
int ledger_new(int fd, ledger_alive_fn *alive, void *context, struct ledger **ret_ledger);
/* Free the table, not the memfd. Return NULL. */
struct ledger *ledger_free(struct ledger *ledger);
/* Merge the figures of a partition from the store. 0 or -ENOMEM. */
int ledger_restore(struct ledger *ledger, uint64_t id, uint64_t peak_bytes, uint64_t busy_ns);
/* Free the entries of ended partitions without a charge. */
void ledger_forget_ended(struct ledger *ledger);

/* In these, `id` is that of a partition on one device, or a share_key. */

/* Make sure that a partition has an entry. 0 or -ENOMEM. */
int ledger_reserve(struct ledger *ledger, uint64_t id);
/* Add to the charge. Call ledger_reserve first. */
void ledger_charge(struct ledger *ledger, uint64_t id, uint64_t bytes);
/* Subtract from the charge. Does nothing without an entry. */
void ledger_release(struct ledger *ledger, uint64_t id, uint64_t bytes);
/* Set what the driver reports for its processes. 0 or -ENOMEM. */
int ledger_set_driver(struct ledger *ledger, uint64_t id, uint64_t bytes);
/* Set what its processes use beyond what they have charged. Does nothing without an entry. */
void ledger_set_rest(struct ledger *ledger, uint64_t id, uint64_t bytes);
/* Add busy time. 0 or -ENOMEM. */
int ledger_add_busy(struct ledger *ledger, uint64_t id, uint64_t busy_ns);

/* Get the figures of a partition; all zero without an entry. */
void ledger_get(const struct ledger *ledger, uint64_t id, struct ledger_figures *ret_figures);
/* Return the next entry from *cursor (0: the first) on, in no order, but none with the sums of
 * others; its partition may have ended. False at the end. */
bool ledger_next(const struct ledger *ledger, uint32_t *cursor, uint64_t *ret_id,
                 struct ledger_figures *ret_figures);

/* Return the number of entries whose peak or busy time changed since they were taken. */
size_t ledger_changed(const struct ledger *ledger);
/* Like ledger_next, for changed entries of live partitions, not of shares; clears their change
 * marks. */
bool ledger_take_changed(struct ledger *ledger, uint32_t *cursor, uint64_t *ret_id,
                         struct ledger_figures *ret_figures);
/* Mark an entry as changed again, because it could not be stored. */
void ledger_put_back(struct ledger *ledger, uint64_t id);

#endif
