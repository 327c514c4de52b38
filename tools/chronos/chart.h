/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a device as a picture: which partition holds how much of it, and when. */
#ifndef CHRONOS_TOOLS_CHART_H
#define CHRONOS_TOOLS_CHART_H

#include "failure.h"

#include <time.h>

/* A part of the device's memory, in bytes from its beginning. */
struct chart_band {
    uint64_t from, to;
};

struct chart_lease {
    struct chronos_partition partition; /* with CHRONOS_ALL */
    uint64_t number;                    /* of its id */
    time_t start, end;
    uint64_t bytes;
    bool pending; /* it has not started */
    bool fixed;   /* nor does its start move */
    size_t lane;  /* partitions of one lane follow each other */
    struct chart_band *bands;
    size_t band_count, band_room;
};

/* A line of the device's file `schedule`. */
struct chart_step {
    time_t from;
    char time[40];    /* the same, as the filesystem writes it */
    char percent[32]; /* free from then on */
    uint64_t bytes;
};

struct chart {
    struct chronos_device device; /* with name and total memory: there may be a thousand */
    uint64_t bytes;               /* its memory */
    struct chart_lease *leases;   /* by start, then id */
    size_t count, lanes;
    struct chart_step *steps; /* the first is now */
    size_t step_count;
};

/* The time that a picture shows. */
struct chart_window {
    time_t from, to;
};

/* Read the plan of a device. Leave out partitions that have just ended; note those that cannot be
 * read in `skipped`. 0, and the caller calls chart_release; or -errno. */
int chart_load(const struct chronos_mount *mount, const struct chronos_device *device,
               struct failure_skipped *skipped, struct chart *ret_chart);
void chart_release(struct chart *chart);
/* Give each partition its bands of the memory, which it keeps until it ends: the lowest that are
 * free when it starts. As no moment is promised twice, there are always enough. 0 or -ENOMEM. */
int chart_place(struct chart *chart);

/* Return the time that shows all partitions of the charts, at least an hour and at most a week, or
 * `days` from `now` on. It begins with the minute, so that equal plans give equal pictures. */
struct chart_window chart_window(const struct chart *charts, size_t count, time_t now, int days);

/* Times to write at the axis, at most CHART_TICKS: round ones in the zone of this process. */
#define CHART_TICKS 8
struct chart_tick {
    time_t at;
    char text[32];
};
size_t chart_ticks(const struct chart_window *window, struct chart_tick ticks[static CHART_TICKS]);

#define CHART_LINES 4 /* of a device, beside its lanes: name, axis, what is free, a blank */
/* Print the charts with characters, `columns` wide. */
void chart_print_text(const struct chart *charts, size_t count, const struct chart_window *window,
                      size_t columns);
/* Print them as an SVG document: time to the right, memory upwards, so that an area is what is
 * held. Equal plans give equal bytes. */
void chart_print_svg(const struct chart *charts, size_t count, const struct chart_window *window);

#endif
