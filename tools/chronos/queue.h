/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a file `queue`: the requests that wait, by start. */
#ifndef CHRONOS_TOOLS_QUEUE_H
#define CHRONOS_TOOLS_QUEUE_H

#include "tools/libchronos/client.h"

#include <time.h>

struct queue_row {
    char id[CHRONOS_ID_MAX];
    char user[64];
    char share[32]; /* of each device, from 0 to 1 */
    char priority[16];
    char start[40], promised[40]; /* as the filesystem writes times */
    char devices[80];             /* "gpu0", or "gpu0,gpu1" */
    uint64_t number;              /* of its id */
    uint64_t seconds;
    time_t starts;
    bool fixed; /* the start was asked for: it does not move */
};

/* Read /chronos/queue, or that of `device` ("gpu0"; NULL: all). The caller frees *ret_rows. 0 or
 * -errno; -ENOENT: chronosfs is of a version without it. */
int queue_load(const struct chronos_mount *mount, const char *device, struct queue_row **ret_rows,
               size_t *ret_count);

/* Find rows by id: sort pointers to them, which the caller frees, then search. 0 or -ENOMEM. */
int queue_sort_by_id(const struct queue_row *rows, size_t count,
                     const struct queue_row ***ret_sorted);
const struct queue_row *queue_find(const struct queue_row *const *sorted, size_t count,
                                   uint64_t number);
#endif
