/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of its device each partition uses: what programs have booked (charge.h)
 * and what the driver tells, and the most that it ever was. A partition has an entry
 * from the first time that something is known of it; entries of partitions that ended
 * make room for others. Owned by the loop thread. It must not know where the figures
 * come from, nor what a partition may.
 *
 * Peaks and busy times are kept in a file, so they outlive the worker and the daemon;
 * they begin anew when the machine does. Where no file can be had (a full disk) they
 * live as long as the worker, and the log says so.
 */
#ifndef CHRONOS_FS_USAGE_H
#define CHRONOS_FS_USAGE_H

#include <stdbool.h>
#include <stdint.h>

struct usage;

/* Of one partition. All zero when nothing is known of it. */
struct usage_figures {
    uint64_t charged_bytes; /* booked by programs */
    uint64_t driver_bytes;  /* held by its processes, as the driver tells */
    uint64_t used_bytes;    /* the greater of the two */
    uint64_t peak_bytes;    /* the most that used_bytes was */
    uint64_t busy_ns;       /* time that the device worked for it */
};

/* Whether there is a partition with this id now. */
typedef bool usage_alive_fn(void *context, uint64_t id);

/* The table, with what the file `usage` in `directory` (absolute; borrowed for the
 * call; NULL: in memory only) keeps of partitions that live. 0 or -ENOMEM; the caller
 * frees it. */
int usage_new(const char *directory, usage_alive_fn *alive, void *context,
              struct usage **ret_usage);
/* Frees it and leaves the file; returns NULL. */
struct usage *usage_free(struct usage *usage);

/* Makes sure that a partition has an entry. 0 or -ENOMEM. */
int usage_reserve(struct usage *usage, uint64_t id);
/* Adds to what is booked. The entry was reserved. */
void usage_book(struct usage *usage, uint64_t id, uint64_t bytes);
/* Takes from what is booked; nothing happens when there is no entry (any more). */
void usage_give_back(struct usage *usage, uint64_t id, uint64_t bytes);
/* What the driver tells of its processes now. 0 or -ENOMEM. */
int usage_set_driver(struct usage *usage, uint64_t id, uint64_t bytes);
/* Adds time that the device worked for it. 0 or -ENOMEM. */
int usage_add_busy(struct usage *usage, uint64_t id, uint64_t busy_ns);

void usage_get(const struct usage *usage, uint64_t id, struct usage_figures *ret_figures);
/* The next entry from *cursor (0: from the start) on, in no order, of a partition that
 * may have ended. False at the end. */
bool usage_next(const struct usage *usage, uint32_t *cursor, uint64_t *ret_id,
                struct usage_figures *ret_figures);

#endif
