/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host thread last saw of partitions' processes, for files to show. A small
 * cache on the loop's side: the host thread is asked again when what is here is older than
 * a millisecond (fs/fuse/pending.c).
 */
#ifndef CHRONOS_TREE_MEMBERS_H
#define CHRONOS_TREE_MEMBERS_H

#include "core/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

#define MEMBERS_SLOTS 1024u

struct look {
    uint64_t id;        /* partition; 0: the slot is empty */
    int64_t at_ns;      /* CLOCK_BOOTTIME when it was asked for */
    struct strbuf pids; /* its members, a line each */
};

struct members {
    struct look slots[MEMBERS_SLOTS];
};

/* The look at partition `id` that was asked for at since_ns or later, or NULL. */
const struct look *members_find(const struct members *members, uint64_t id, int64_t since_ns);
/* Puts a look in place of what was in its slot. `pids` as text; copied. Without
 * memory nothing is kept. */
void members_put(struct members *members, uint64_t id, int64_t at_ns, const char *pids,
                 size_t length);

#endif
