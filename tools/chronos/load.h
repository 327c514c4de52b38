/* SPDX-License-Identifier: Apache-2.0 */
/* Read many partitions at a time. */
#ifndef CHRONOS_TOOLS_LOAD_H
#define CHRONOS_TOOLS_LOAD_H

#include "tools/libchronos/client.h"

/* Called for each partition, in order, with the result of chronos_partition_load; without a mask
 * only the id is set. False: stop. */
typedef bool load_fn(void *context, int r, const struct chronos_partition *partition);

/* Load the fields in `mask` of these partitions, and pass each to `fn`. 0 or -ENOMEM. */
int load_each(const struct chronos_mount *mount, const uint64_t *ids, size_t count, uint32_t mask,
              load_fn *fn, void *context);

#endif
