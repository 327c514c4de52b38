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
    uint64_t seconds;
    time_t starts;
};

/* Read /chronos/queue, or that of `device` ("gpu0"; NULL: all). The caller frees *ret_rows. 0 or
 * -errno; -ENOENT: chronosfs is of a version without it. */
int queue_load(const struct chronos_mount *mount, const char *device, struct queue_row **ret_rows,
               size_t *ret_count);

#endif
