/* SPDX-License-Identifier: Apache-2.0 */
/* chronos unshare: take users out of a partition. */
#include "share.h"

static int run(const struct chronos_mount *mount, const struct args *args)
{
    return share_change(mount, args, '-');
}

const struct command cmd_unshare = {
    .name = "unshare",
    .args = "ID USER...",
    .summary = "Stop sharing a partition with users.",
    .help = "Takes users out whom chronos share let in. They can start nothing more in the\n"
            "partition. Programs of theirs that are inside stay until it ends: release it to\n"
            "end them.\n"
            "\n"
            "    chronos unshare p1 bob",
    .changes = true,
    .run = run,
};
