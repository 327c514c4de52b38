/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of its device each partition uses: what programs have booked (charge.h)
 * and what the driver tells, and the most that it ever was. A partition has an entry
 * from the first time that something is known of it; entries of partitions that ended
 * make room for others. Owned by the loop thread. It must not know where the figures
 * come from, nor what a partition may.
 *
 * Peaks and busy times lie in memory that the supervisor holds, so they outlive the
 * worker. The table says which of them changed, so that the store keeps them longer.
 */
#ifndef CHRONOS_TREE_LEDGER_H
#define CHRONOS_TREE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;

/* Of one partition. All zero when nothing is known of it. */
struct ledger_figures {
    uint64_t charged_bytes; /* booked by programs */
    uint64_t driver_bytes;  /* held by its processes, as the driver tells */
    uint64_t used_bytes;    /* the greater of the two */
    uint64_t peak_bytes;    /* the most that used_bytes was */
    uint64_t busy_ns;       /* time that the device worked for it */
};

/* Whether there is a partition with this id now. */
typedef bool ledger_alive_fn(void *context, uint64_t id);

/* The table, with the records that the memfd holds (borrowed; it grows; -1: memory of its
 * own). All of them count as changed. 0 or -errno; the caller frees it. */
int ledger_new(int fd, ledger_alive_fn *alive, void *context, struct ledger **ret_ledger);
/* Frees it and leaves the memfd; returns NULL. */
struct ledger *ledger_free(struct ledger *ledger);
/* Takes in what the store kept of a partition. 0 or -ENOMEM. */
int ledger_restore(struct ledger *ledger, uint64_t id, uint64_t peak_bytes, uint64_t busy_ns);
/* Frees the entries of partitions that ended. */
void ledger_forget_ended(struct ledger *ledger);

/* Makes sure that a partition has an entry. 0 or -ENOMEM. */
int ledger_reserve(struct ledger *ledger, uint64_t id);
/* Adds to what is booked. The entry was reserved. */
void ledger_book(struct ledger *ledger, uint64_t id, uint64_t bytes);
/* Takes from what is booked; nothing happens when there is no entry (any more). */
void ledger_give_back(struct ledger *ledger, uint64_t id, uint64_t bytes);
/* What the driver tells of its processes now. 0 or -ENOMEM. */
int ledger_set_driver(struct ledger *ledger, uint64_t id, uint64_t bytes);
/* Adds time that the device worked for it. 0 or -ENOMEM. */
int ledger_add_busy(struct ledger *ledger, uint64_t id, uint64_t busy_ns);

void ledger_get(const struct ledger *ledger, uint64_t id, struct ledger_figures *ret_figures);
/* The next entry from *cursor (0: from the start) on, in no order, of a partition that
 * may have ended. False at the end. */
bool ledger_next(const struct ledger *ledger, uint32_t *cursor, uint64_t *ret_id,
                 struct ledger_figures *ret_figures);

/* How many entries changed their peak or their busy time since they were taken. */
size_t ledger_changed(const struct ledger *ledger);
/* As ledger_next, of those that changed and live; from then on they have not changed. */
bool ledger_take_changed(struct ledger *ledger, uint32_t *cursor, uint64_t *ret_id,
                         struct ledger_figures *ret_figures);
/* What was taken could not be kept: it has changed still. */
void ledger_put_back(struct ledger *ledger, uint64_t id);

#endif
