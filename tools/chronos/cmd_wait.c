/* SPDX-License-Identifier: Apache-2.0 */
/* chronos wait: wait until a partition starts or ends. */
#include "await.h"
#include "command.h"
#include "ended.h"
#include "failure.h"
#include "handle.h"
#include "output.h"

#include "core/base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {
    {"for", 0, "active/end", "Wait until it starts (active, the default), or until its end."},
    {"timeout", 0, "TIME", "Wait no longer than that, such as 90 or 1h30m; 0: only look."},
    OPTION_END,
};

/* Find the partition, also one that has ended. 0, or an exit code after a message. */
static int find(const struct chronos_mount *mount, const char *text,
                char ret_id[static CHRONOS_ID_MAX], bool *ret_ended)
{
    struct chronos_line line;
    char path[64];
    int r = handle_find(mount, text, ret_id);
    if (r)
        return r;
    snprintf(path, sizeof(path), "partitions/%s/state", ret_id);
    int fd = chronos_open(mount->root, path, O_RDONLY);
    fd_close(fd);
    *ret_ended = chronos_is_gone(fd);
    return *ret_ended && !ended_find(mount, ret_id, &line) ? failure_no_partition(mount, ret_id)
                                                           : 0;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    const char *what = args_option(args, "for"), *timeout = args_option(args, "timeout");
    char id[CHRONOS_ID_MAX];
    struct await waiting = {
        .mount = mount,
        .wanted = args_option(args, "mount"),
        .id = id,
        .end = what && strcmp(what, "end") == 0,
        .until_ns = INT64_MAX,
    };
    int64_t timeout_ns;
    bool ended;
    if (what && !waiting.end && strcmp(what, "active") != 0)
        return args_usage_error(args->command, "--for takes active or end, not %s.", what);
    if (timeout && !await_parse_time(timeout, &timeout_ns))
        return args_usage_error(args->command,
                                "--timeout takes a time such as 90 or 1h30m, not %s.", timeout);
    int r = find(mount, args->words[0], id, &ended);
    if (r)
        return r;
    if (timeout)
        waiting.until_ns = clock_boottime_ns() + timeout_ns;
    r = ended ? waiting.end ? AWAIT_REACHED : AWAIT_ENDED : await(&waiting);
    if (r == AWAIT_REACHED)
        return EXIT_DONE;
    if (r == AWAIT_TIMEOUT)
        return EXIT_TIMEOUT;
    if (r < 0)
        return failure_partition(mount, id, "The partition could not be read", r);
    output_message("%s has ended.", id);
    return EXIT_REFUSED;
}

const struct command cmd_wait = {
    .name = "wait",
    .args = "ID",
    .summary = "Wait until a partition starts or ends.",
    .help = "Waits until the partition is active, or with --for end until it has ended. One\n"
            "that is active already is not waited for.\n"
            "\n"
            "The exit code is 0 then, 1 if the partition ended without becoming active, and\n"
            "124 if the time of --timeout is over. The command goes on if chronosfs is\n"
            "started again.\n"
            "\n"
            "    chronos wait p12 --timeout 10m && echo it is mine",
    .options = options,
    .run = run,
};
