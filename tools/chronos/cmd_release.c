/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos release: remove partitions, as rm does. The sticky bit keeps members of the
 * administrators' group from removing other users' partitions; for those, write to `release`.
 */
#include "command.h"
#include "core/base/fd.h"
#include "failure.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Report why `id` could not be released. Only a refused write leaves its reason in `status`. */
static int refused(const struct chronos_mount *mount, const char *id, int r, bool written)
{
    char path[64], owner[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s/user", id);
    int read = chronos_read(mount->root, path, owner, sizeof(owner));
    /* The kernel can remember a name after its end, and refuses to unlink it. */
    if (chronos_is_gone(r) || chronos_is_gone(read))
        return failure_no_partition(id);
    if (r != -EPERM && r != -EACCES)
        return written ? failure_refused(mount, r)
                       : failure_report(mount, "Cannot release the partition", r);
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
    if (unlinkat(mount->root, path, 0) == 0)
        return EXIT_DONE;
    int r = -errno;
    if (r != -EPERM && r != -EACCES)
        return refused(mount, id, r, false);
    int fd = chronos_open(mount->root, "release", O_WRONLY);
    r = fd < 0 ? fd : chronos_request_send(fd, id);
    fd_close(fd);
    return r < 0 ? refused(mount, id, r, fd >= 0) : EXIT_DONE;
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
