/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog, as the keeper drives it: makes samples for watchdog.h of what the
 * drivers tell and of who is in which partition, and does what it says: lines on
 * terminals, signals. Only one thread, the keeper's, uses it. It must not know the
 * engine; what there is to note or to show is handed to the caller.
 */
#ifndef CHRONOS_FS_WATCHING_H
#define CHRONOS_FS_WATCHING_H

#include "holdings.h"
#include "ladder.h"
#include "watchdog.h"

#include "../core/enforcer/enforcer.h"
#include "../core/gpu/meter.h"

struct watching;

struct watching_start {
    struct enforcer *enforcer;       /* borrowed, as the others */
    const struct holdings *holdings; /* all live partitions */
    const struct ladder *ladder;     /* whose programs are just being ended */
    /* A line for the log, about partition `id` (0: none) on `device`. */
    void (*note)(void *context, uint64_t id, uint32_t device, const char *word,
                 const char *details);
    /* A sentence for the status of a user. */
    void (*status)(void *context, uint32_t uid, const char *sentence);
    void *context;
};

struct watching_policy {
    enum watchdog_mode mode;
    int64_t interval_ns; /* between two looks */
    int64_t grace_ns;
};

/* 0 or -ENOMEM. It is off until watching_set. */
int watching_new(const struct watching_start *start, struct watching **ret_watching);
struct watching *watching_free(struct watching *watching);
void watching_set(struct watching *watching, const struct watching_policy *policy);
/* When the drivers should be asked for the next look; INT64_MAX never. */
int64_t watching_next_ns(const struct watching *watching);
/* Takes a look at what the drivers told, if one is due. now_ns: CLOCK_BOOTTIME. */
void watching_look(struct watching *watching, int64_t now_ns, const struct gpu_usage *usage);
void watching_count(const struct watching *watching, struct watchdog_counts *ret_counts);

#endif
