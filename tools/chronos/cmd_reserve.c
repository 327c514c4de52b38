/* SPDX-License-Identifier: Apache-2.0 */
/* chronos reserve: request a partition, or a series of them, for a start that is asked for. */
#include "command.h"
#include "failure.h"
#include "output.h"
#include "partition.h"
#include "request.h"
#include "series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
#define KEY(name, option, value, kind, doc) {option, 0, value, doc},
#include "core/engine/request.def"
    REQUEST_START_OPTION,
    REQUEST_SERIES_OPTIONS,
    {"any", 0, NULL, "On any device: the same as any for DEVICE."},
    REQUEST_PLACE_OPTIONS,
    {"quiet", 'q', NULL, "Print only the ids."},
    OPTION_JSON,
    OPTION_END,
};

static void print_one(const struct chronos_mount *mount, const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    char start[CHRONOS_VALUE_MAX], end[CHRONOS_VALUE_MAX];
    char place[PARTITION_PLACE_MAX], amount[PARTITION_AMOUNT_MAX];
    partition_place_text(partition, place);
    partition_amount_text(mount, partition, amount);
    output_time(value[CHRONOS_PARTITION_START], start, sizeof(start));
    output_time(value[CHRONOS_PARTITION_EXPIRES], end, sizeof(end));
    printf("Reserved partition %s%s%s on %s: %s from %s to %s\n", output_colour(BOLD),
           partition->id, output_colour(PLAIN), place, amount, start, end);
}

/* Print all occurrences. */
static int show(const struct chronos_mount *mount, const struct args *args, const char *first)
{
    struct json json = {0};
    uint64_t *ids = NULL;
    size_t count = 0;
    bool as_json = args_option(args, "json"), quiet = args_option(args, "quiet");
    int r = series_list(mount, first, &ids, &count);
    if (as_json)
        json_open(&json, NULL, '[');
    for (size_t i = 0; i < count && !r; i++) {
        struct chronos_partition partition;
        char id[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        int loaded = quiet ? 0 : chronos_partition_load(mount, id, CHRONOS_ALL, &partition);
        if (chronos_is_gone(loaded))
            continue;
        r = loaded;
        if (r < 0)
            break;
        if (quiet)
            puts(id);
        else if (as_json)
            partition_json(&json, &partition, NULL);
        else
            print_one(mount, &partition);
    }
    if (as_json)
        json_close(&json, ']');
    free(ids);
    if (r < 0)
        failure_report(mount, "The reservation was made, but could not be read", r);
    return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    char id[CHRONOS_ID_MAX], sentence[512];
    if (!args_option(args, "start"))
        return args_usage_error(args->command, "reserve needs --start.");
    if (args_option(args, "quiet") && args_option(args, "json"))
        return args_usage_error(args->command, "--quiet and --json exclude each other.");
    int r = request_make(mount, args, id);
    if (r)
        return r;
    /* Some occurrences can be left out: the sentence names them. */
    bool skips = args_option(args, "skip") &&
                 !chronos_read(mount->root, "status", sentence, sizeof(sentence));
    r = show(mount, args, id);
    if (skips) {
        chronos_clean(sentence);
        output_message("%s", sentence);
    }
    return r;
}

const struct command cmd_reserve = {
    .name = "reserve",
    .args = "[DEVICE] AMOUNT DURATION",
    .summary = "Request a part of a device for a later time.",
    .help = "Requests AMOUNT of the memory of DEVICE for DURATION from --start on. The start\n"
            "does not move. If the time is not free, it is refused, and the message says who\n"
            "has it and which starts would do.\n"
            "\n"
            "With --every it repeats at the same local time, until --until or --times. All\n"
            "are reserved or none, unless --skip is given. Each is a partition of its own;\n"
            "release --series ends all of them.\n"
            "\n"
            "    chronos reserve 0 0.5 2h --start +30m\n"
            "    chronos reserve 0 100% 3h --start 2026-12-07T09:00 --every Mon,Wed --times 9",
    .options = options,
    .run = run,
};
