/* SPDX-License-Identifier: Apache-2.0 */
/* The occurrences of a reservation that repeats. */
#ifndef CHRONOS_TOOLS_SERIES_H
#define CHRONOS_TOOLS_SERIES_H

#include "tools/libchronos/client.h"

/* List the numbers of the partitions of the series that `id` belongs to, ascending; of one that
 * does not repeat, itself. The caller frees *ret_ids. 0 or -errno. */
int series_list(const struct chronos_mount *mount, const char *id, uint64_t **ret_ids,
                size_t *ret_count);

#endif
