/* SPDX-License-Identifier: Apache-2.0 */
/* chronos release: remove partitions, as rm does. */
#include "command.h"
#include "failure.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Report why `id` could not be released. */
static int refused(const struct chronos_mount *mount, const char *id, int r)
{
    char path[64], owner[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s/user", id);
    int read = chronos_read(mount->root, path, owner, sizeof(owner));
    /* The kernel can remember a name after its end, and refuses to unlink it. */
    if (chronos_is_gone(r) || chronos_is_gone(read))
        return failure_no_partition(id);
    if (r != -EPERM && r != -EACCES)
        return failure_report(mount, "Cannot release the partition", r);
    if (!read)
        output_message("Permission denied: partition owned by %s.", owner);
    else
        output_message("Permission denied: partition %s is not yours.", id);
    return EXIT_REFUSED;
}

static int release(const struct chronos_mount *mount, const char *id)
{
    char path[64];
    uint64_t checked;
    if (!chronos_parse_id(id, &checked))
        return failure_no_partition(id);
    snprintf(path, sizeof(path), "partitions/%s", id);
    return unlinkat(mount->root, path, 0) == 0 ? EXIT_DONE : refused(mount, id, -errno);
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    int worst = EXIT_DONE;
    for (int i = 0; i < args->count; i++) {
        int r = release(mount, args->words[i]);
        if (r == EXIT_DONE)
            printf("Released partition %s\n", args->words[i]);
        else
            worst = args->count > 1 ? EXIT_REFUSED : r;
    }
    return worst;
}

const struct command cmd_release = {
    .name = "release",
    .args = "ID...",
    .summary = "End partitions now.",
    .help = "Ends partitions at once and gives their memory back. Users end their own,\n"
            "administrators those of all users.\n"
            "\n"
            "With several ids it tries all, and the exit code is 1 if any of them could not\n"
            "be released.",
    .run = run,
};
