/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local time: which moment a date and a time of day is, and where days and weeks begin. Time zones
 * are those of the C library. A local time that does not exist, because clocks go forward, stands
 * for the next one that does; one that exists twice stands for the first.
 */
#ifndef CHRONOS_TREE_CALENDAR_H
#define CHRONOS_TREE_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALENDAR_DATE_MAX 40 /* room for "2026-12-01", and for any three numbers */
#define CALENDAR_DAY_S    86400

/* A date and time as clocks on the wall show it. */
struct calendar_time {
    int64_t day;    /* since 1970-01-01 */
    int32_t second; /* of the day */
};

/* The day with this date. False: there is no such date (2026-02-30). Months count from 1; 0 and 13
 * are in the years before and after. */
bool calendar_day(int year, int month, int mday, int64_t *ret_day);
/* The date of a day. */
void calendar_date(int64_t day, int *ret_year, int *ret_month, int *ret_mday);
/* "2026-12-01" */
void calendar_date_text(int64_t day, char text[static CALENDAR_DATE_MAX]);
/* 0: Monday */
int calendar_weekday(int64_t day);

/* Local time at a moment (CLOCK_REALTIME), and the first moment at which it is this time. */
struct calendar_time calendar_local(int64_t wall_s);
int64_t calendar_wall(struct calendar_time local);

/* The beginnings of `count` days, from the one that contains wall_ns on; returns its number, in
 * days since 1970. */
int64_t calendar_days(int64_t wall_ns, int64_t *ret_bounds_ns, size_t count);
/* The same for weeks, which begin on Monday; the week of 1970-01-01 has number 0. */
int64_t calendar_weeks(int64_t wall_ns, int64_t *ret_bounds_ns, size_t count);

#endif
