/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher of `chronos run` without a filesystem.
 *
 *     launcher keep|term|kill GRACE_MS PREPARE PROGRAM [ARG...]
 *
 * PREPARE: the return value of prepare(), or "hang" to wait in it for a signal.
 */
#include "core/base/ns.h"
#include "tools/chronos/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int prepare(void *context)
{
    const char *what = context;
    setenv("PREPARED", "yes", 1);
    if (strcmp(what, "hang") != 0)
        return atoi(what);
    puts("hanging");
    fflush(stdout);
    return pause();
}

static bool expired(void *context)
{
    (void)context;
    fputs("expired\n", stderr);
    return true;
}

static struct run_leftover leftover;

static struct run_leftover ended(void *context)
{
    (void)context;
    return leftover;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    leftover.action = strcmp(argv[1], "keep") == 0   ? RUN_KEEP
                      : strcmp(argv[1], "kill") == 0 ? RUN_KILL
                                                     : RUN_TERM;
    leftover.grace_ns = atoi(argv[2]) * NS_PER_MS;
    struct run run = {
        .words = (const char **)argv + 4,
        .prepare = prepare,
        .expired = expired,
        .ended = ended,
        .context = argv[3],
    };
    int status, r = run_program(&run, &status);
    return r ? r : run_exit_like(status);
}
