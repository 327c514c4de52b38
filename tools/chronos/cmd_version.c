/* SPDX-License-Identifier: Apache-2.0 */
/* chronos version: print the version of this program, and of the mounted filesystem if any. */
#include "command.h"
#include "output.h"

#include <stdio.h>

static int run(const struct chronos_mount *none, const struct args *args)
{
    struct chronos_mount mount;
    char version[128], failed[PATH_MAX];
    (void)none;
    puts("chronos " CHRONOS_VERSION);
    if (chronos_mount_open(args_option(args, "mount"), failed, &mount) == 0 &&
        chronos_read(mount.root, "version", version, sizeof(version)) == 0)
        printf("%s on %s\n", version, mount.path);
    return EXIT_DONE;
}

const struct command cmd_version = {
    .name = "version",
    .args = "",
    .summary = "Print the versions of the command and of the filesystem.",
    .help = "Prints the version of this command and, if a chronosfs is mounted, its version\n"
            "and where it is.",
    .without_tree = true,
    .run = run,
};
