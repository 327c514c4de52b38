/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronos run: run a program in a partition. This process joins the partition first, so that the
 * program and its descendants are members from the start, even without cgroups. The open file that
 * created the partition holds it (the word `hold`): the partition ends with this process, even if
 * it is killed.
 */
#include "await.h"
#include "core/base/fd.h"
#include "core/base/ns.h"
#include "ended.h"
#include "environment.h"
#include "failure.h"
#include "handle.h"
#include "output.h"
#include "request.h"
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct option options[] = {
    {"gpu", 0, "DEVICE", "Take the partition from DEVICE: a number, gpu0, or any. Default: any."},
    {"in", 0, "ID", "Use partition ID and keep it. Leave out AMOUNT and DURATION."},
#define KEY(name, option, value, kind, doc) {option, 0, value, doc},
#define ADMIN_KEY(name, option, value, kind, doc)
#include "core/engine/request.def"
    REQUEST_WAIT_OPTION,
    REQUEST_START_OPTION,
    REQUEST_PLACE_OPTIONS,
    OPTION_END,
};

struct use {
    const struct chronos_mount *mount;
    char id[CHRONOS_ID_MAX];
    int directory; /* of the partition */
    bool own;      /* created for this program; ends with it */
    bool reported; /* the end was reported */
};

/* Print why the partition cannot be used. */
static int unusable(const struct use *use, const char *what, int r)
{
    if (chronos_is_gone(r))
        output_message("Partition %s has ended.", use->id);
    else
        failure_partition(use->mount, use->id, what, r);
    return RUN_FAILED;
}

static int join(const struct use *use)
{
    struct fd_identity file;
    if (fd_identify(use->directory, "procs", &file) == -ENOENT &&
        !fd_identify(use->directory, "state", &file)) {
        output_message(
            "The chronosfs on %s cannot run programs in partitions: it has no file procs.",
            use->mount->path);
        return RUN_FAILED;
    }
    int fd = chronos_open(use->directory, "procs", O_WRONLY);
    int r = fd < 0 ? fd : chronos_request_send(fd, "0");
    fd_close(fd);
    if (!r)
        return 0;
    if (fd < 0 || chronos_is_gone(r))
        return unusable(use, "Cannot join the partition", r);
    failure_refused(use->mount, r); /* a refused write leaves its reason in `status` */
    return RUN_FAILED;
}

static int prepare(void *context)
{
    const struct use *use = context;
    char *text;
    int r = join(use);
    if (r)
        return r;
    r = chronos_variables_read(use->directory, &text);
    if (r < 0)
        return unusable(use, "Cannot read the environment", r);
    r = environment_apply(text);
    free(text);
    if (!r)
        return 0;
    output_message("Cannot set the environment of %s: %s.", use->id,
                   r == -EINVAL ? "it is not understood" : strerror(-r));
    return RUN_FAILED;
}

/* End leftovers as at the partition's expiry. If it has expired already, its files are gone, and
 * chronosfs ends them. */
static struct run_leftover program_ended(void *context)
{
    const struct use *use = context;
    struct run_leftover leftover = {RUN_KEEP, 0};
    char word[32], grace[32], *members;
    if (use->own && chronos_read(use->directory, "on_expiry", word, sizeof(word)) == 0 &&
        chronos_read(use->directory, "grace", grace, sizeof(grace)) == 0) {
        leftover.grace_ns = (int64_t)chronos_number(grace) * NS_PER_SECOND;
        if (strcmp(word, "none") != 0)
            leftover.action = strcmp(word, "kill") == 0 ? RUN_KILL : RUN_TERM;
    }
    /* Without cgroups chronosfs must find the leftovers before this process ends and they lose
     * their parent. Reading procs makes it scan. */
    if (leftover.action == RUN_KEEP && chronos_read_all(use->directory, "procs", &members) == 0)
        free(members);
    return leftover;
}

/* Once the partition has ended, report that and why, but only once. Return whether it has ended. */
static bool report_end(void *context)
{
    struct use *use = context;
    char state[32];
    struct chronos_line line = {.count = 0};
    if (use->reported)
        return true;
    if (!chronos_is_gone(chronos_read(use->directory, "state", state, sizeof(state))))
        return false;
    use->reported = true;
    ended_find(use->mount, use->id, &line);
    const char *by = chronos_line_value(&line, "by");
    if (strcmp(chronos_line_value(&line, "how"), "expired") == 0)
        output_message("%s has expired.", use->id);
    else if (by[0] != '\0')
        output_message("%s was released by %s.", use->id, by);
    else
        output_message("%s has ended.", use->id);
    return true;
}

static int own_words(const struct args *args)
{
    if (args_option(args, "in"))
        return 0;
    return args->count >= 2 && request_has_device(args->words) ? 3 : 2;
}

/* Return whether the words before the program begin with a device. */
static bool has_device(const struct args *args)
{
    return args->program == 3 && request_is_device(args->words[0]);
}

/* Check that a program follows the command's own words, and that --in comes without the options and
 * words of a new partition. */
static int check(const struct args *args)
{
    bool in = args_option(args, "in");
    for (const struct option *option = options; in && option->name; option++) {
        bool with_in = strcmp(option->name, "in") == 0 || strcmp(option->name, "wait") == 0;
        if (!with_in && args_option(args, option->name))
            return args_usage_error(args->command, "--%s cannot be used with --in.", option->name);
    }
    if (in && args_option(args, "wait") && args_option(args, "wait")[0] != '\0')
        return args_usage_error(args->command, "With --in, --wait takes no time.");
    if (!in && has_device(args) && args_option(args, "gpu"))
        return args_usage_error(args->command, "--gpu and device %s exclude each other.",
                                args->words[0]);
    if (in && args->program > 0)
        return args_usage_error(args->command, "AMOUNT and DURATION cannot be used with --in.");
    if ((args->program != (in ? 0 : 2) && !has_device(args)) || args->program == args->count)
        return args_usage_error(args->command, "run needs %s.",
                                in ? "PROGRAM" : args->command->args);
    return 0;
}

/* Wait for the start of the partition. An interrupt ends this process, and so what waits, which it
 * holds. 0, or an exit code after a message. */
static int wait_for_start(const struct args *args, struct use *use)
{
    struct await waiting = {.mount = use->mount,
                            .wanted = args_option(args, "mount"),
                            .id = use->id,
                            .until_ns = INT64_MAX};
    if (!request_waits(use->mount, use->id))
        return 0;
    await_report(use->mount, use->id);
    int r = await(&waiting);
    if (r == AWAIT_ENDED)
        await_report_ended(use->mount, use->id);
    else if (r < 0)
        failure_partition(use->mount, use->id, "The partition could not be read", r);
    return r == AWAIT_REACHED ? 0 : EXIT_REFUSED;
}

/* Open the partition of --in, or create one, which *ret_hold then holds. */
static int open_partition(const struct args *args, struct use *use, int *ret_hold)
{
    const char *in = args_option(args, "in"), *gpu = args_option(args, "gpu");
    const int first = has_device(args); /* of AMOUNT and DURATION */
    const char *device = in ? NULL
                            : request_device(args, first ? args->words[0]
                                                   : gpu ? gpu
                                                         : "any");
    char line[512], path[64];
    int r = 0;
    if (!in && !device)
        return EXIT_USAGE;
    if (!in) {
        r = request_line(args, args->words[first], args->words[first + 1], "hold", line,
                         sizeof(line));
        if (!r)
            r = request_open(use->mount, device, ret_hold);
        if (!r)
            r = request_ask(use->mount, *ret_hold, line, use->id);
        if (!r)
            request_report_warned(use->mount, args, use->id);
    } else {
        r = handle_find_started(use->mount, in, use->id);
    }
    if (!r && (args_option(args, "wait") || args_option(args, "start")))
        r = wait_for_start(args, use);
    if (r)
        return r;
    snprintf(path, sizeof(path), "partitions/%s", use->id);
    use->directory = chronos_open(use->mount->root, path, O_PATH | O_DIRECTORY);
    if (use->directory >= 0)
        return 0;
    return in && chronos_is_gone(use->directory)
               ? failure_no_partition(use->mount, use->id)
               : failure_report(use->mount, "Cannot open the partition", use->directory);
}

/* Return whether no program is likely to have this name. */
static bool is_amount(const char *word)
{
    return word[0] >= '0' && word[0] <= '9' && word[strspn(word, "0123456789.%kKmMgGtTiB")] == '\0';
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
        .expired = report_end,
        .ended = program_ended,
        .context = &use,
    };
    int r = run_program(&program, &status);
    if (r)
        return r;
    report_end(&use);
    if (!use.own && WIFEXITED(status) && WEXITSTATUS(status) == RUN_NOT_FOUND &&
        is_amount(program.words[0]))
        output_message("With --in, AMOUNT and DURATION are left out: chronos run --in %s PROGRAM.",
                       args_option(args, "in"));
    /* Let the kernel close `hold`: if it were closed here, the end of the partition could signal
     * this process before it returns its status. */
    return run_exit_like(status);
}

const struct command cmd_run = {
    .name = "run",
    .args = "[DEVICE] AMOUNT DURATION PROGRAM [ARG...]",
    .summary = "Run a program in a partition.",
    .help = "Creates a partition, runs PROGRAM in it, and releases the partition when PROGRAM\n"
            "ends. DEVICE, AMOUNT and DURATION are as in create; without DEVICE it takes any.\n"
            "Options come before PROGRAM; a -- before PROGRAM is needed only if its name\n"
            "begins with a dash.\n"
            "\n"
            "PROGRAM finds the directory of its partition in CHRONOS_PARTITION, as in\n"
            "cat $CHRONOS_PARTITION/remaining. If it uses CUDA or OpenCL, it sees the\n"
            "partition's memory as the device's, and gets no more (LD_PRELOAD and\n"
            "OPENCL_LAYERS name the libraries for that).\n"
            "\n"
            "With --wait or --start PROGRAM begins when the partition does. Until then an\n"
            "interrupt cancels the request, and so does whatever else ends chronos run.\n"
            "\n"
            "PROGRAM has this terminal, standard input and output. chronos run forwards the\n"
            "signals that it receives, and ends as PROGRAM does, with the same exit status or\n"
            "by the same signal.\n"
            "\n"
            "When PROGRAM ends, chronos run ends the processes that PROGRAM left behind, by\n"
            "the partition's on_expiry and grace, and waits for them; an interrupt kills them\n"
            "at once. With --in they keep running. When chronos run itself is killed, its\n"
            "partition ends, and on_expiry decides how all of them end.\n"
            "\n"
            "    chronos run 0.5 1h python3 train.py --epochs 3\n"
            "    chronos run --gpu 0 --name training 20G 90m -- ./train\n"
            "    chronos run --wait --gpus 2 100% 6h ./train\n"
            "    chronos run --in p1 bash",
    .options = options,
    .run = run,
    .own_words = own_words,
    .failed = RUN_FAILED,
};
