/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When something starts and how often: the words start=, every=, until= and times= of a request,
 * and the moments that they stand for. All occurrences have the local time of the first, whatever
 * daylight saving does. Times are CLOCK_REALTIME. It must not know devices or what is free.
 */
#ifndef CHRONOS_TREE_SERIES_H
#define CHRONOS_TREE_SERIES_H

#include "calendar.h"

#define SERIES_MAX 64

/* A start, as moment and as local time. The two differ if clocks skip that time. */
struct series_start {
    int64_t wall_ns;
    struct calendar_time local;
};

/* When it repeats: every `interval` days or months, on these weekdays. */
struct series_every {
    bool months;
    int interval;
    unsigned weekdays; /* bit 0: Monday */
};

struct series {
    struct series_start start;
    struct series_every every; /* interval 0: once */
    int64_t until_day;         /* the last day that counts; INT64_MAX: not given */
    int times;                 /* 0: not given */
};

/* Each parser returns 0, or REFUSED_INVALID and a message. */

/* Parse "+2h", "2026-12-01T09:00" (seconds allowed; local time, or with Z or +01:00). Not in the
 * past. */
int series_parse_start(const char *text, size_t length, int64_t now_wall_ns,
                       struct series_start *ret_start, char *message, size_t size);
/* Parse "day", "weekday", "week", "month", "10days", "2weeks", "3months", "Mon,Wed". */
int series_parse_every(const char *text, size_t length, struct series_every *ret_every,
                       char *message, size_t size);
/* Parse "2026-12-24". */
int series_parse_until(const char *text, size_t length, int64_t *ret_day, char *message,
                       size_t size);
/* Parse "12": 1 to SERIES_MAX. */
int series_parse_times(const char *text, size_t length, int *ret_times, char *message, size_t size);

/* All starts of a series, in order; one for what does not repeat. With `every`, either until_day or
 * times must be given. */
int series_moments(const struct series *series, int64_t ret_wall_ns[static SERIES_MAX],
                   size_t *ret_count, char *message, size_t size);

#endif
