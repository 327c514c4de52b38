/* SPDX-License-Identifier: Apache-2.0 */
/* The host's clocks, in nanoseconds. */
#ifndef CHRONOS_BASE_CLOCK_H
#define CHRONOS_BASE_CLOCK_H

#include "ns.h"

#include <time.h>

/* Time since boot, including suspend: engine time. */
int64_t clock_boottime_ns(void);
/* Time since boot, without suspend: for timeouts. */
int64_t clock_monotonic_ns(void);
/* Time of day: for display. */
int64_t clock_realtime_ns(void);

/* Convert for the C library. */
struct timespec clock_timespec(int64_t ns);

#endif
