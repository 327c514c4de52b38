/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper last saw of partitions' processes, for files to show. A small
 * cache on the loop's side: a file that shows it is asked for anew when what is
 * here is older than a moment (later.c).
 */
#ifndef CHRONOS_FS_LOOKS_H
#define CHRONOS_FS_LOOKS_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define LOOKS_SLOTS 1024u

struct look {
    uint64_t id;      /* partition; 0: the slot is empty */
    int64_t at_ns;    /* CLOCK_BOOTTIME when it was asked for */
    struct text pids; /* its members, a line each */
};

struct looks {
    struct look slots[LOOKS_SLOTS];
};

/* The look at partition `id` that was asked for at since_ns or later, or NULL. */
const struct look *looks_find(const struct looks *looks, uint64_t id, int64_t since_ns);
/* Puts a look in place of what was in its slot. `pids` as text; copied. Without
 * memory nothing is kept. */
void looks_put(struct looks *looks, uint64_t id, int64_t at_ns, const char *pids, size_t length);
/* Forgets a partition. */
void looks_drop(struct looks *looks, uint64_t id);

#endif
