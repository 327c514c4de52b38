/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of the filesystem, with the jobs as its clients. It must not decide anything.
 */
#ifndef CHRONOS_SIMULATE_PLANNED_H
#define CHRONOS_SIMULATE_PLANNED_H

#include "jobs.h"

#include <stdbool.h>

#define PLANNED_SETTINGS 16

struct planned_rules {
    bool fair;                              /* order by usage, else by arrival */
    const char *settings[PLANNED_SETTINGS]; /* NAME=VALUE, as in config/NAME */
    uint32_t setting_count;
};

/* Let the engine schedule the jobs on so many equal devices. */
void planned_run(struct jobs *jobs, uint32_t device_count, const struct planned_rules *rules);

#endif
