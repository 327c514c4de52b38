/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hours as a condition: amount x time within each calendar window stays at or below a limit. What
 * is promised counts in advance, in each window that it touches. It must not know partitions.
 */
#ifndef CHRONOS_ENGINE_QUOTA_HOURS_H
#define CHRONOS_ENGINE_QUOTA_HOURS_H

#include "tally.h"
#include "usage_record.h"
#include "windows.h"

struct quota_hours {
    const struct tally *tally;
    const struct windows *windows;
    const struct quota_spent *spent;
    wide limit_ppm_ns;
};

/* Add `ppm` (or take it back: negative) over [from_ns, until_ns), as far as that lies within the
 * window in which it ends. Windows never go back: earlier ones are not counted any more. */
void quota_hours_spend(struct quota_spent *spent, const struct windows *windows, wide ppm,
                       int64_t from_ns, int64_t until_ns);
/* Used in this window, promised time included. */
wide quota_hours_used(const struct quota_hours *hours, const struct window *window);
/* The first moment >= from_ns at which `ppm` for `duration_ns` can start; TALLY_NEVER if there is
 * none. *ret_window is the window that is in the way at from_ns; unchanged if none is. */
int64_t quota_hours_earliest(const struct quota_hours *hours, uint64_t ppm, int64_t from_ns,
                             int64_t duration_ns, struct window *ret_window);
/* How long `ppm` can last from from_ns on, at most `most_ns`. */
int64_t quota_hours_longest(const struct quota_hours *hours, uint64_t ppm, int64_t from_ns,
                            int64_t most_ns);
/* How much can last from from_ns on for `duration_ns`, at most `most_ppm`. */
uint64_t quota_hours_largest(const struct quota_hours *hours, int64_t from_ns, int64_t duration_ns,
                             uint64_t most_ppm);

#endif
