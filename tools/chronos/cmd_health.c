/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos health: one line and an exit code for node checks. All that touches the tree happens in a
 * child process, because a call on a mount that does not answer can be one that nothing ends.
 */
#include "command.h"
#include "core/base/child.h"
#include "core/base/strbuf.h"
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TIMEOUT_S     5
#define TIMEOUT_MAX_S 600

static const struct option options[] = {
    {"timeout", 't', "SECONDS", "Wait this long for an answer; 5 if absent, at most 600."},
    OPTION_END,
};

/* What the child says: one message. */
struct answer {
    int code;
    char text[PATH_MAX + 1024];
};

/* Return the value of a figure without labels; 0: there is none. */
static uint64_t figure(const char *metrics, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = metrics; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoull(line + length + 1, NULL, 10);
    }
    return 0;
}

/* Count the devices, and name those that are absent. */
static uint64_t check_devices(const char *metrics, struct strbuf *troubles)
{
    static const char head[] = "\nchronos_device_info{device=\"",
                      absent[] = ",backend=\"absent\"} 1";
    uint64_t count = 0;
    for (const char *line = metrics; (line = strstr(line, head)); count++) {
        line += sizeof(head) - 1;
        size_t length = strcspn(line, "\n");
        if (length > sizeof(absent) &&
            memcmp(line + length - (sizeof(absent) - 1), absent, sizeof(absent) - 1) == 0)
            strbuf_print(troubles, " %.*s is absent.", (int)strcspn(line, "\""), line);
    }
    return count;
}

/* Say what the figures mean. */
static void judge(const char *path, const char *metrics, struct answer *answer)
{
    struct strbuf troubles = {0};
    uint64_t devices = check_devices(metrics, &troubles);
    uint64_t partitions = figure(metrics, "chronos_partitions");
    bool drained = figure(metrics, "chronos_drained") != 0;
    uint64_t waiting = figure(metrics, "chronos_waiting_partitions");
    char left[32] = "", wait[48] = "";
    if (!strstr(metrics, "\n# EOF"))
        strbuf_print(&troubles, " The file metrics is not complete.");
    else if (devices == 0)
        strbuf_print(&troubles, " There is no device.");
    if (drained && partitions > 0)
        output_seconds_text(figure(metrics, "chronos_drained_remaining_seconds"), left,
                            sizeof(left));
    if (waiting > 0)
        snprintf(wait, sizeof(wait), ", %" PRIu64 " of them waiting", waiting);
    answer->code = troubles.length > 0 ? EXIT_REFUSED : drained ? EXIT_DRAINED : EXIT_DONE;
    snprintf(answer->text, sizeof(answer->text),
             "%s: %s: %" PRIu64 " device%s, %" PRIu64 " partition%s%s%s%s%s.%s",
             answer->code == EXIT_DONE      ? "ok"
             : answer->code == EXIT_DRAINED ? "drained"
                                            : "trouble",
             path, devices, devices == 1 ? "" : "s", partitions, partitions == 1 ? "" : "s", wait,
             drained && troubles.length > 0 ? ", drained" : "",
             left[0] ? ", the last ends in " : "", left, troubles.length > 0 ? troubles.data : "");
    strbuf_free(&troubles);
}

/* In the child. Only names that the kernel mostly knows are looked up, and no directory is listed:
 * a user can make others wait for that. */
static int look(void *context, int socket)
{
    struct chronos_mount mount;
    struct answer answer = {.code = EXIT_NO_MOUNT};
    char failed[PATH_MAX], *metrics = NULL, why[CHRONOS_REASON_MAX];
    int r = chronos_mount_open(context, failed, &mount);
    if (r < 0) {
        snprintf(answer.text, sizeof(answer.text), "no tree: ");
        chronos_explain_no_mount(failed, r, "with --mount or in CHRONOS_MOUNT", answer.text + 9,
                                 sizeof(answer.text) - 9);
    } else if ((r = chronos_read_all(mount.root, "metrics", &metrics)) < 0) {
        answer.code = r == -ENOTCONN ? EXIT_NO_MOUNT : EXIT_REFUSED;
        snprintf(answer.text, sizeof(answer.text), "trouble: %.200s: metrics cannot be read: %s.",
                 mount.path, chronos_reason(r, why));
    } else {
        judge(mount.path, metrics, &answer);
    }
    return send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Parse a number of seconds. 0 for other text, and for too much. */
static int read_timeout(const char *text)
{
    uint64_t seconds = text ? chronos_number(text) : TIMEOUT_S;
    return seconds <= TIMEOUT_MAX_S ? (int)seconds : 0;
}

static int run(const struct chronos_mount *none, const struct args *args)
{
    const char *timeout = args_option(args, "timeout"), *mount = args_option(args, "mount");
    struct answer answer;
    struct child child;
    int seconds = read_timeout(timeout);
    (void)none;
    if (seconds == 0)
        return args_usage_error(args->command, "\"%s\" is not a number of seconds from 1 to %d.",
                                timeout, TIMEOUT_MAX_S);
    int r = child_start(look, (void *)(uintptr_t)mount, NULL, 0, &child);
    ssize_t length = r ? r : child_read(&child, &answer, sizeof(answer), seconds * 1000);
    if (!r)
        child_kill(&child); /* its end is not waited for */
    if (length == sizeof(answer)) {
        chronos_clean(answer.text);
        puts(answer.text);
        return answer.code;
    }
    if (length == -EINPROGRESS) {
        printf("no answer: the tree did not answer within %d second%s.\n", seconds,
               seconds == 1 ? "" : "s");
        return EXIT_NO_MOUNT;
    }
    printf("trouble: the check could not be made: %s.\n",
           length < 0 ? strerror((int)-length) : "it was ended");
    return EXIT_REFUSED;
}

const struct command cmd_health = {
    .name = "health",
    .args = "",
    .summary = "Check whether this machine's tree works, for node checks.",
    .help = "Prints one line, and exits with\n"
            "\n"
            "    0  ok: the tree answers, and all devices are there\n"
            "    1  trouble: it answers, and the line says what is wrong\n"
            "    3  no tree, or no answer: nothing is mounted, the daemon has died, or the\n"
            "       tree did not answer in time\n"
            "    5  drained: nothing is wrong, and nothing new is granted (config/drain)\n"
            "\n"
            "It returns in time even if a call on the mount would wait for ever.",
    .options = options,
    .without_tree = true,
    .run = run,
};
