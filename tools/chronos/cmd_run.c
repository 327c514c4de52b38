/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos run: a program inside a partition. This process joins it first, so all that it
 * starts belongs from its first moment, also where membership goes by parents. The open
 * file that asked for the partition holds it (the word `hold`): when this process ends,
 * however it does, so does the partition.
 */
#include "environment.h"
#include "failure.h"
#include "output.h"
#include "request.h"
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
    {"gpu", 0, "DEVICE", "Take the partition from DEVICE: a number, gpu0, or any. Default: any."},
    {"in", 0, "ID", "Use partition ID, which stays. AMOUNT and DURATION are left out."},
#define KEY(name, option, value, doc) {option, 0, value, doc},
#define ADMIN_KEY(name, option, value, doc)
#include "core/engine/request.def"
    OPTION_END,
};

struct use {
    const struct chronos_mount *mount;
    char id[CHRONOS_ID_MAX];
    int directory; /* of the partition */
    bool own;      /* it was made for this program, and ends with it */
    bool told;     /* why it ended */
};

/* Says why the partition cannot be used. */
static int unusable(const struct use *use, const char *what, int r)
{
    if (chronos_is_gone(r))
        output_say("Partition %s has ended.", use->id);
    else if (r == -EACCES || r == -EPERM)
        output_say("Permission denied: partition %s is not yours.", use->id);
    else
        failure_report(use->mount, what, r);
    return RUN_FAILED;
}

static int join(const struct use *use)
{
    if (faccessat(use->directory, "procs", F_OK, 0) != 0 && errno == ENOENT &&
        faccessat(use->directory, "state", F_OK, 0) == 0) {
        output_say("The chronosfs on %s cannot put programs into partitions: it has no file procs.",
                   use->mount->path);
        return RUN_FAILED;
    }
    int r = chronos_write(use->directory, "procs", "0");
    return r < 0 ? unusable(use, "The partition could not be joined", r) : 0;
}

static int prepare(void *context)
{
    const struct use *use = context;
    char *text;
    int r = join(use);
    if (r != 0)
        return r;
    r = chronos_read_all(use->directory, "env", &text);
    if (r < 0)
        return unusable(use, "The environment could not be read", r);
    r = environment_apply(text);
    free(text);
    if (r == 0)
        return 0;
    output_say("The environment of %s could not be set: %s.", use->id,
               r == -EINVAL ? "the shell failed" : strerror(-r));
    return RUN_FAILED;
}

/* What is left behind ends as at the end of the partition's time. If that is over,
 * chronosfs does it. */
static struct run_leftover program_ended(void *context)
{
    const struct use *use = context;
    struct run_leftover leftover = {RUN_KEEP, 0};
    char word[32], grace[32], *members;
    if (use->own && chronos_read(use->directory, "on_expiry", word, sizeof(word)) == 0 &&
        chronos_read(use->directory, "grace", grace, sizeof(grace)) == 0) {
        leftover.grace_ms = (int64_t)chronos_number(grace) * 1000;
        if (strcmp(word, "none") != 0)
            leftover.action = strcmp(word, "kill") == 0 ? RUN_KILL : RUN_TERM;
    }
    /* Where membership goes by parents, those that are kept must be seen before this
     * process ends and leaves them without one: a read makes chronosfs look. */
    if (leftover.action == RUN_KEEP && chronos_read_all(use->directory, "procs", &members) == 0)
        free(members);
    return leftover;
}

/* Splits the last line of `history` about the partition. Without one, *last stays. */
static void find_end(const struct use *use, char *history, struct chronos_line *last)
{
    size_t length = strlen(use->id);
    for (char *line; (line = strsep(&history, "\n"));) {
        if (strncmp(line, use->id, length) == 0 && line[length] == ' ')
            chronos_line_split(line, strlen(line), last);
    }
}

/* Prints, once, that the partition has ended before the program, and why. */
static void say_if_over(void *context)
{
    struct use *use = context;
    char state[32], *history = NULL;
    struct chronos_line line = {.count = 0};
    if (use->told || !chronos_is_gone(chronos_read(use->directory, "state", state, sizeof(state))))
        return;
    use->told = true;
    if (chronos_read_all(use->mount->root, "history", &history) == 0)
        find_end(use, history, &line);
    free(history);
    const char *by = chronos_line_value(&line, "by");
    if (strcmp(chronos_line_value(&line, "how"), "expired") == 0)
        output_say("The time of %s was up.", use->id);
    else if (by[0] != '\0')
        output_say("%s was released by %s.", use->id, by);
    else
        output_say("%s has ended.", use->id);
}

/* Where the program stands is where own words end; anything else is a mistake. */
static int check(const struct args *args)
{
    bool in = args_option(args, "in");
    for (const struct option *option = options; in && option->name; option++) {
        if (strcmp(option->name, "in") != 0 && args_option(args, option->name))
            return args_usage_error(args->command, "With --in, --%s is left out.", option->name);
    }
    if (in && args->program > 0)
        return args_usage_error(args->command, "With --in, AMOUNT and DURATION are left out.");
    if (args->program != (in ? 0 : 2) || args->program == args->count)
        return args_usage_error(args->command, "run needs %s.",
                                in ? "PROGRAM" : args->command->args);
    return 0;
}

/* Opens the partition: one that exists, or a new one and what holds it. */
static int open_partition(const struct args *args, struct use *use, int *ret_hold)
{
    const char *in = args_option(args, "in"), *device = args_option(args, "gpu");
    char line[512], path[64];
    uint64_t checked;
    int r = 0;
    if (!in) {
        r = request_line(args, args->words[0], args->words[1], "hold", line, sizeof(line));
        if (r == 0)
            r = request_open(use->mount, device ? device : "any", ret_hold);
        if (r == 0)
            r = request_ask(use->mount, *ret_hold, line, use->id);
    } else if (!chronos_parse_id(in, &checked)) {
        return failure_no_partition(in);
    } else {
        snprintf(use->id, sizeof(use->id), "%s", in);
    }
    if (r != 0)
        return r;
    snprintf(path, sizeof(path), "partitions/%s", use->id);
    use->directory = openat(use->mount->root, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (use->directory >= 0)
        return 0;
    return in && chronos_is_gone(-errno)
               ? failure_no_partition(in)
               : failure_report(use->mount, "The partition could not be opened", -errno);
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct use use = {
        .mount = mount,
        .directory = -1,
        .own = !args_option(args, "in"),
    };
    int hold = -1, status;
    if (check(args) != 0 || open_partition(args, &use, &hold) != 0)
        return RUN_FAILED;
    struct run program = {
        .words = args->words + args->program,
        .prepare = prepare,
        .expired = say_if_over,
        .ended = program_ended,
        .context = &use,
    };
    int r = run_program(&program, &status);
    if (r != 0)
        return r;
    say_if_over(&use);
    /* `hold` closes with this process: earlier, its end could reach us first */
    return run_exit_like(status);
}

static int own_words(const struct args *args)
{
    return args_option(args, "in") ? 0 : 2;
}

const struct command cmd_run = {
    .name = "run",
    .args = "AMOUNT DURATION PROGRAM [ARG...]",
    .summary = "Run a program in a partition.",
    .help = "Takes a partition, runs PROGRAM in it, and gives the partition back when PROGRAM\n"
            "ends. AMOUNT and DURATION are as in create. Options come before PROGRAM; a --\n"
            "before PROGRAM is needed only if its name begins with a dash.\n"
            "\n"
            "PROGRAM has this terminal, its input and output, and the signals: those that\n"
            "are sent to chronos run are passed on. It ends as PROGRAM does, with the same\n"
            "exit status or by the same signal.\n"
            "\n"
            "When PROGRAM ends, processes that it left behind are ended as at the end of the\n"
            "partition's time, by what on_expiry and grace say, and waited for; an interrupt\n"
            "ends them at once. With --in they stay. When chronos run is killed, its\n"
            "partition ends, and on_expiry decides about all of them.\n"
            "\n"
            "    chronos run 0.5 1h python3 train.py --epochs 3\n"
            "    chronos run --gpu 0 --name training 20G 90m -- ./train\n"
            "    chronos run --in p1 bash",
    .options = options,
    .run = run,
    .own_words = own_words,
    .failed = RUN_FAILED,
};
