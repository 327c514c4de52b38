/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's clocks in nanoseconds. */
#ifndef CHRONOS_BASE_CLOCK_H
#define CHRONOS_BASE_CLOCK_H

#include "ns.h"

#include <time.h>

/* Time since boot, suspend included: the time of partitions. */
int64_t clock_boottime_ns(void);
/* The same without suspend: for timeouts. */
int64_t clock_monotonic_ns(void);
/* Time of day: for people. */
int64_t clock_realtime_ns(void);

/* As the C library takes it; ns >= 0. */
struct timespec clock_timespec(int64_t ns);

#endif
