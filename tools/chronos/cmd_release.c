/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos release: removes partitions, as rm does. The sticky bit keeps even
 * members of the administrators' group from removing other people's: for them
 * there is the file `release`.
 */
#include "command.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int denied(const struct tree *tree, const char *id)
{
    char path[64], owner[RECORD_TEXT];
    snprintf(path, sizeof path, "partitions/%s/user", id);
    int error = tree_read(tree->root, path, owner, sizeof owner);
    if (is_gone(error))
        return no_partition(id);
    if (error == 0)
        say("Permission denied: partition owned by %s", owner);
    else
        say("Permission denied: %s is not yours.", id);
    return EXIT_REFUSED;
}

static int release(const struct tree *tree, const char *id)
{
    char path[64];
    uint64_t checked;
    if (!id_parse(id, &checked))
        return no_partition(id);
    snprintf(path, sizeof path, "partitions/%s", id);
    if (unlinkat(tree->root, path, 0) == 0)
        return EXIT_DONE;
    int error = -errno;
    if (error == -EPERM || error == -EACCES) {
        error = tree_write(tree->root, "release", id);
        if (error == -EPERM || error == -EACCES)
            return denied(tree, id);
    }
    if (is_gone(error))
        return no_partition(id);
    return error != 0 ? tree_refused(tree, error) : EXIT_DONE;
}

static int run(const struct tree *tree, const struct args *args)
{
    int worst = EXIT_DONE;
    for (int i = 0; i < args->count; i++) {
        int result = release(tree, args->words[i]);
        if (result == EXIT_DONE)
            printf("Released partition %s\n", args->words[i]);
        else
            worst = args->count > 1 ? EXIT_REFUSED : result;
    }
    return worst;
}

const struct command command_release = {
    .name = "release",
    .args = "ID...",
    .summary = "End partitions now.",
    .help = "Ends partitions at once and gives their memory back. Users end their own,\n"
            "administrators anybody's.\n"
            "\n"
            "With several ids all are tried, and the exit code is 1 if any of them could not\n"
            "be released.",
    .run = run,
};
