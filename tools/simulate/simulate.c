/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs in, their schedule out: `simulate RULE [OPTION VALUE]... <JOBS >SCHEDULE`. jobs.h has the
 * columns. The figures of docs/scheduling.md are made from it by `report`, beside this file.
 */
#include "jobs.h"
#include "planned.h"
#include "queued.h"

#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 64

static const char usage[] =
    "usage: simulate fair|arrival|easy|fcfs [OPTION VALUE]... <JOBS >SCHEDULE\n"
    "  fair      the engine, in fair order\n"
    "  arrival   the engine, in order of arrival\n"
    "  easy      EASY backfilling\n"
    "  fcfs      first come, first served\n"
    "  --devices N         equal devices, 1 to 64 (8)\n"
    "  --set NAME=VALUE    of the engine: a setting, as in config/NAME; repeat it for more\n";

static uint32_t number(const char *text, uint32_t least, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || value < least || value > most) {
        fprintf(stderr, "%s is not a number from %u to %u.\n", text, least, most);
        exit(2);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    const char *rule = argc % 2 == 0 ? argv[1] : "";
    struct planned_rules rules = {0};
    uint32_t devices = 8;

    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--devices"))
            devices = number(argv[i + 1], 1, DEVICES_MAX);
        else if (!strcmp(argv[i], "--set") && rules.setting_count < PLANNED_SETTINGS)
            rules.settings[rules.setting_count++] = argv[i + 1];
        else
            rule = "";
    }
    bool backfill = !strcmp(rule, "easy"), queued = backfill || !strcmp(rule, "fcfs");
    rules.fair = !strcmp(rule, "fair");
    if (!queued && !rules.fair && strcmp(rule, "arrival") != 0) {
        fputs(usage, stderr);
        return 2;
    }
    struct jobs jobs = jobs_read(stdin, devices);
    if (queued)
        queued_run(&jobs, devices, backfill);
    else
        planned_run(&jobs, devices, &rules);
    jobs_write(&jobs, stdout);
    jobs_free(&jobs);
    return 0;
}
