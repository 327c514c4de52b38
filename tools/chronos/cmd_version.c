/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos version: of this program, and of the filesystem if one is mounted.
 */
#include "command.h"
#include "output.h"

#include <stdio.h>

static int run(const struct tree *none, const struct args *args)
{
    struct tree tree;
    char version[128];
    (void)none;
    puts("chronos " CHRONOS_VERSION);
    if (tree_open(args_option(args, "mount"), true, &tree) == 0 &&
        tree_read(tree.root, "version", version, sizeof version) == 0)
        printf("%s on %s\n", version, tree.path);
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .args = "",
    .summary = "Print the versions of the command and of the filesystem.",
    .help = "Prints the version of this command and, if a chronosfs is mounted, its version\n"
            "and where it is.",
    .without_tree = true,
    .run = run,
};
