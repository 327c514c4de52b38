/* SPDX-License-Identifier: Apache-2.0 */
/* What accounts and groups have used, as the store keeps it. It must not know what it means. */
#ifndef CHRONOS_ENGINE_USAGE_RECORD_H
#define CHRONOS_ENGINE_USAGE_RECORD_H

#include "core/base/wide.h"

#include <stdbool.h>
#include <stdint.h>

/* Used in one window by what has ended since. Negative while something larger or older than the
 * tally shows is still held. All zero: nothing. */
struct quota_spent {
    int64_t window; /* its number */
    wide ppm_ns;
};

/* What a holder has used, apart from what its present partitions say. All zero but for whose it is:
 * there is no record. */
struct usage_record {
    bool group;
    uint32_t id;   /* account, or gid */
    int64_t epoch; /* see fairshare.h; not of groups */
    wide booked;
    struct quota_spent day, week;
};

static inline bool usage_record_is_set(const struct usage_record *record)
{
    return record->epoch || record->booked || record->day.window || record->day.ppm_ns ||
           record->week.window || record->week.ppm_ns;
}

/* A change of one, with an event. */
struct usage_change {
    struct usage_record before, after;
};

#endif
