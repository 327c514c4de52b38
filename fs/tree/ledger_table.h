/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where figures of usage are kept, for ledger.c only: an entry has the same place in two arrays,
 * the state of this worker and the record that outlives it. A hash table maps ids to places.
 * Entries are not removed one by one: when the arrays are full, entries of ended partitions are
 * freed, and if more than half is still in use the arrays grow.
 */
#ifndef CHRONOS_TREE_LEDGER_TABLE_H
#define CHRONOS_TREE_LEDGER_TABLE_H

#include "ledger.h"

#include "core/engine/partition.h"

/* Outlives a worker. */
struct ledger_record {
    uint64_t id; /* or the share_key of a share; 0: free */
    uint64_t peak_bytes, busy_ns;
};

struct ledger_entry {
    uint64_t charged_bytes, driver_bytes, rest_bytes;
    uint32_t next_free; /* if free: the next free place + 1 */
    bool changed;       /* never of a share */
    uint8_t shares;     /* how many have entries, at most: the figures are their sums; 0: its own */
};

struct ledger {
    ledger_alive_fn *alive;
    void *context;
    int fd;                        /* of the records; -1: private memory */
    struct ledger_record *records; /* mapped */
    struct ledger_entry *entries;
    uint32_t capacity, count, free; /* free: place + 1 */
    uint32_t *places;               /* hash table of place + 1, with 2 * capacity slots */
    size_t changed;
};

/* Return the slot of an id: its place + 1, or 0. */
static inline uint32_t *ledger_find(const struct ledger *ledger, uint64_t id)
{
    uint32_t mask = 2 * ledger->capacity - 1;
    uint64_t number = id + (id >> SHARE_KEY_BITS); /* shares side by side */
    uint32_t slot = (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (ledger->places[slot] && ledger->records[ledger->places[slot] - 1].id != id)
        slot = (slot + 1) & mask;
    return &ledger->places[slot];
}

static inline bool ledger_is_share(uint64_t id)
{
    return id != share_key_id(id);
}

/* Make room for `capacity` entries. 0 or -errno. */
int ledger_grow(struct ledger *ledger, uint32_t capacity);
/* Rebuild the hash table and the list of free places from the records. */
void ledger_index(struct ledger *ledger);
/* Free the entries of ended partitions, unless something is charged: a partition comes back if its
 * end could not be made durable. */
void ledger_sweep(struct ledger *ledger);
/* Return the entry of a share, or NULL. */
struct ledger_entry *ledger_share(const struct ledger *ledger, uint64_t id, uint32_t index);
/* Note that a partition has the entry of a share, if `id` is one. */
void ledger_count_share(struct ledger *ledger, uint64_t id);
/* Find or add an entry, and before that of a share that of its partition. 0 or -ENOMEM. */
int ledger_need(struct ledger *ledger, uint64_t id, uint32_t *ret_place);

#endif
