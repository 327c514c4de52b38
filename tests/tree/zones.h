/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones for tests, as POSIX rules: no files are needed, and rules never change. */
#ifndef CHRONOS_TESTS_TREE_ZONES_H
#define CHRONOS_TESTS_TREE_ZONES_H

#include "core/base/ns.h"

#include <stdlib.h>
#include <time.h>

#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK  "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define HAVANA    "CST5CDT,M3.2.0/0,M11.1.0/1" /* at midnight */

static inline void zone(const char *rule)
{
    setenv("TZ", rule, 1);
    tzset();
}

/* Seconds since 1970 of a time in UTC. */
static inline int64_t utc(int year, int month, int day, int hour, int minute)
{
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute};

    return timegm(&tm);
}

#endif
