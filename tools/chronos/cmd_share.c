/* SPDX-License-Identifier: Apache-2.0 */
/* chronos share: let other users into a partition. */
#include "share.h"

static int run(const struct chronos_mount *mount, const struct args *args)
{
    return share_change(mount, args, '+');
}

const struct command cmd_share = {
    .name = "share",
    .args = "ID USER...",
    .summary = "Let other users use a partition.",
    .help = "Lets the users, 16 at most, run programs in the partition: chronos run --in ID.\n"
            "They cannot release or extend it, change its mode or let others in. It ends with\n"
            "the partition. A USER is a name or a uid. For more people share it with a group:\n"
            "chgrp and chmod g+w.\n"
            "\n"
            "    chronos share p1 bob\n"
            "    chronos share training bob carol",
    .changes = true,
    .run = run,
};
