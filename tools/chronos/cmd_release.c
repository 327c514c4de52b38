/* SPDX-License-Identifier: Apache-2.0 */
/* chronos release: remove partitions, as rm does. */
#include "command.h"
#include "failure.h"
#include "handle.h"
#include "output.h"
#include "select.h"
#include "series.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The longest line that the filesystem takes. It syncs once for all ids in it. */
#define LINE_MAX_BYTES 512

struct batch {
    uint64_t ids[LINE_MAX_BYTES / 3]; /* "p1 " */
    size_t count, length;
    char line[LINE_MAX_BYTES + CHRONOS_ID_MAX];
};

static const struct option options[] = {
    SELECT_OPTIONS,
    {"series", 0, NULL, "Also the other occurrences of each reservation that repeats."},
    OPTION_END,
};

/* Report why `id` could not be released. */
static int refused(const struct chronos_mount *mount, const char *id, int r)
{
    char path[64], owner[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s/user", id);
    int read = chronos_read(mount->root, path, owner, sizeof(owner));
    /* The kernel can remember a name after its end, and refuses to unlink it. */
    if (chronos_is_gone(r) || chronos_is_gone(read))
        return failure_no_partition(mount, id);
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
    snprintf(path, sizeof(path), "partitions/%s", id);
    return unlinkat(mount->root, path, 0) == 0 ? EXIT_DONE : refused(mount, id, -errno);
}

/* Release one partition and print that. Return an exit code. */
static int release_one(const struct chronos_mount *mount, const char *id)
{
    int r = release(mount, id);
    if (r == EXIT_DONE)
        printf("Released partition %s\n", id);
    return r;
}

/* Release all partitions of the batch, or none. */
static bool release_together(const struct chronos_mount *mount, const struct batch *batch)
{
    int fd = chronos_open(mount->root, "release", O_WRONLY);
    ssize_t n = fd < 0 ? -1 : write(fd, batch->line, batch->length);
    fd_close(fd);
    return n == (ssize_t)batch->length;
}

/* Release what is in the batch and empty it. Return an exit code. If it cannot be done at once, try
 * one after the other. */
static int release_batch(const struct chronos_mount *mount, struct batch *batch)
{
    const bool together = batch->count > 1 && release_together(mount, batch);
    int worst = EXIT_DONE;
    for (size_t i = 0; i < batch->count; i++) {
        char id[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)batch->ids[i]);
        int r = EXIT_DONE;
        if (together)
            printf("Released partition %s\n", id);
        else
            r = release_one(mount, id);
        if (r != EXIT_DONE && r != EXIT_UNKNOWN) /* it ended by itself just now */
            worst = r;
    }
    batch->count = batch->length = 0;
    return worst;
}

/* Add a partition, and release what is in the batch when it is full. Return an exit code. */
static int release_soon(const struct chronos_mount *mount, struct batch *batch, uint64_t id)
{
    batch->ids[batch->count++] = id;
    batch->length += (size_t)snprintf(batch->line + batch->length, CHRONOS_ID_MAX, "p%llu ",
                                      (unsigned long long)id);
    return batch->length + CHRONOS_ID_MAX > LINE_MAX_BYTES ? release_batch(mount, batch)
                                                           : EXIT_DONE;
}

/* Report that the options select no partition. A label names something, as an id does. */
static int none_selected(const struct select *select)
{
    if (!select->name) {
        puts("No partition was selected.");
        return EXIT_DONE;
    }
    output_message("There is no partition \"%s\" to release.", select->name);
    return EXIT_UNKNOWN;
}

/* Choose from `ids`, and release what was chosen. */
static int release_chosen(const struct chronos_mount *mount, const struct select *select,
                          const uint64_t *ids, size_t count)
{
    struct batch batch = {.count = 0, .length = 0};
    int worst = EXIT_DONE;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        struct chronos_partition partition;
        char id[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        int r = select->mask ? chronos_partition_load(mount, id, select->mask, &partition) : 0;
        if (chronos_is_gone(r) || (!r && !select_passes(select, &partition)))
            continue;
        any = true;
        if (r < 0) {
            worst = failure_partition(mount, id, "The partition could not be read", r);
            continue;
        }
        r = release_soon(mount, &batch, ids[i]);
        worst = r != EXIT_DONE ? r : worst;
    }
    int r = release_batch(mount, &batch);
    worst = r != EXIT_DONE ? r : worst;
    return any ? worst : none_selected(select);
}

/* The label alone selects only partitions of the caller: others may use the same. */
static int release_selected(const struct chronos_mount *mount, struct select *select)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    if (select->name)
        select_label(select, select->name);
    int r = select_list(mount, select, &ids, &count);
    if (r < 0)
        return failure_report(mount, "The partitions could not be listed", r);
    r = release_chosen(mount, select, ids, count);
    free(ids);
    return r;
}

/* Release all of a series that have not ended. */
static int release_series(const struct chronos_mount *mount, const char *id)
{
    struct select all = {.name = NULL};
    uint64_t *ids = NULL;
    size_t count = 0;
    int r = series_list(mount, id, &ids, &count);
    if (r < 0)
        return failure_partition(mount, id, "The series could not be read", r);
    r = count > 0 ? release_chosen(mount, &all, ids, count) : failure_no_partition(mount, id);
    free(ids);
    return r;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct select select;
    int worst = select_init(mount, args, &select);
    if (worst)
        return worst;
    if (args->count > 0 && select_any(&select))
        return args_usage_error(args->command,
                                "--mine, --user, --name and --device cannot be used with an ID.");
    if (args->count == 0 && args_option(args, "series"))
        return args_usage_error(args->command, "--series needs at least one ID.");
    if (args->count == 0 && !select_any(&select))
        return args_usage_error(args->command, "release needs at least one ID.");
    if (args->count == 0)
        worst = release_selected(mount, &select);
    for (int i = 0; i < args->count; i++) {
        char id[CHRONOS_ID_MAX];
        bool series = args_option(args, "series");
        int r = series ? handle_find_series(mount, args->words[i], id)
                       : handle_find(mount, args->words[i], id);
        if (!r)
            r = series ? release_series(mount, id) : release_one(mount, id);
        if (r != EXIT_DONE)
            worst = args->count > 1 ? EXIT_REFUSED : r;
    }
    return worst;
}

const struct command cmd_release = {
    .name = "release",
    .other_name = "force-release",
    .args = "[ID...]",
    .summary = "End partitions now.",
    .help = "Ends partitions at once and gives their memory back. Users end their own,\n"
            "administrators those of all users.\n"
            "\n"
            "With several ids it tries all, and the exit code is 1 if any of them could not\n"
            "be released.\n"
            "\n"
            "Without an id it ends the partitions that the options select. A label alone\n"
            "selects only your own. Whatever still runs in a partition ends with it, so\n"
            "force-release is another name of this command.\n"
            "\n"
            "--series ends a reservation that repeats as a whole, whichever of its partitions\n"
            "is named; without it only that one is left out.\n"
            "\n"
            "    chronos release p1\n"
            "    chronos release --mine\n"
            "    chronos release --name training",
    .options = options,
    .changes = true,
    .run = run,
};
