/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums over partitions that have ended, by user, device, day or node. It must not know where the
 * lines come from.
 */
#ifndef CHRONOS_TOOLS_REPORT_H
#define CHRONOS_TOOLS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum report_by { REPORT_BY_USER, REPORT_BY_DEVICE, REPORT_BY_DAY, REPORT_BY_NODE };
#define REPORT_KEY_MAX 320 /* the name of a node, and a device */

struct report_group {
    char key[REPORT_KEY_MAX];
    unsigned long long partitions;
    double seconds;       /* that partitions lasted */
    double share_seconds; /* the same, times the share of the device */
    double asked, peak;   /* byte seconds */
};

struct report {
    enum report_by by;
    bool local; /* days of the local time zone, not of UTC */
    time_t since;
    const char *node;       /* NULL: this machine */
    const uint64_t *totals; /* memory of the devices; 0: not known */
    size_t total_count;
    struct report_group *groups;
    size_t count, room;
    unsigned long long lost;    /* lines that the history has dropped */
    unsigned long long unknown; /* partitions of devices that are gone */
};

/* Add a line of a history; lines that are not about the time of the report count for nothing. 0 or
 * -ENOMEM. */
int report_take_line(struct report *report, const char *text);
/* Order days by time, everything else by use, the largest first. */
void report_sort(struct report *report);

#endif
