/* SPDX-License-Identifier: Apache-2.0 */
/* chronos suspend: let a partition's programs leave the device, through `remaining`. */
#include "change.h"
#include "failure.h"
#include "handle.h"

#include <stdio.h>

static int run(const struct chronos_mount *mount, const struct args *args)
{
    char id[CHRONOS_ID_MAX];
    int r = handle_find(mount, args->words[0], id);
    if (!r)
        r = change_write(mount, id, "remaining", "0", "Cannot suspend the partition");
    if (r)
        return r;
    printf("Partition %s is being suspended; `chronos events` shows how that ends\n", id);
    return EXIT_DONE;
}

const struct command cmd_suspend = {
    .name = "suspend",
    .args = "ID",
    .summary = "Let the programs of a partition leave its device.",
    .help = "Ends the lease of a partition whose on_expiry is suspend, as the end of its\n"
            "time does: its programs move to the machine's memory and stop, its room on the\n"
            "device is free for others, and the partition waits for chronos resume. What\n"
            "cannot be suspended ends as with term; events says why.\n"
            "\n"
            "    chronos create 0 50% 1h --on-expiry suspend\n"
            "    chronos suspend p1",
    .changes = true,
    .run = run,
};
