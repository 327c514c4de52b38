/* SPDX-License-Identifier: Apache-2.0 */
/* chronos resume: give a suspended partition a new lease, through `remaining`. */
#include "change.h"
#include "failure.h"
#include "handle.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static const struct option options[] = {
    {"queue", 0, NULL, "Wait for room if there is none now; the start is promised."}, OPTION_END};

static int run(const struct chronos_mount *mount, const struct args *args)
{
    const char *time = args->words[1];
    char id[CHRONOS_ID_MAX], path[64], text[CHRONOS_VALUE_MAX];
    int r = handle_find(mount, args->words[0], id);
    if (r)
        return r;
    if (time[0] == '\0' || !strcmp(time, "0") || strpbrk(time, " \t\r\n") || strlen(time) > 100)
        return args_usage_error(
            args->command,
            "\"%s\" is not a duration; write whole seconds like 3600, or 90m, 1h30m, 2d.", time);
    /* To one that is not suspended the same words would set its end. */
    snprintf(path, sizeof(path), "partitions/%s/state", id);
    r = chronos_read(mount->root, path, text, sizeof(text));
    if (r < 0)
        return failure_partition(mount, id, "Cannot resume the partition", r);
    if (!strcmp(text, "active") || !strcmp(text, "expiring") || !strcmp(text, "pending")) {
        output_message("Partition %s cannot be resumed: its state is %s.", id, text);
        return EXIT_REFUSED;
    }
    snprintf(text, sizeof(text), "%s%s", time, args_option(args, "queue") ? " queue" : "");
    r = change_write(mount, id, "remaining", text, "Cannot resume the partition");
    if (r)
        return r;
    printf("Partition %s is being resumed; `chronos wait %s` waits for it\n", id, id);
    return EXIT_DONE;
}

const struct command cmd_resume = {
    .name = "resume",
    .args = "ID DURATION",
    .summary = "Give a suspended partition a new lease.",
    .help = "Asks for as much of its device as the partition had, for DURATION from now on,\n"
            "and lets its programs go on there. Without room it is refused, or waits with\n"
            "--queue. If the device is full in spite of the lease, because programs outside\n"
            "of partitions use it, it stays suspended, and events says so.\n"
            "\n"
            "    chronos resume p1 1h\n"
            "    chronos resume p1 1h --queue",
    .options = options,
    .changes = true,
    .run = run,
};
