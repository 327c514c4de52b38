/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `chronos run` is made of, without a filesystem: starts a program as it would.
 *
 *     launcher stays|term|kill GRACE_MS PREPARE PROGRAM [ARG...]
 *
 * PREPARE: what preparing ends with; "hang" to wait in it until the launcher is gone. The
 * descriptor in LAUNCHER_ONLY is what nobody but the launcher may have.
 */
#include "tools/chronos/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *what;

static int prepare(void *context)
{
    (void)context;
    if (strcmp(what, "hang") == 0) {
        puts("hanging");
        fflush(stdout);
        for (pid_t launcher = getppid(); getppid() == launcher;)
            usleep(1000);
    }
    setenv("PREPARED", "yes", 1);
    return atoi(what);
}

static struct launch_end ended(void *context)
{
    return *(struct launch_end *)context;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    struct launch_end end = {
        .leftover = strcmp(argv[1], "stays") == 0  ? LEFTOVER_STAYS
                    : strcmp(argv[1], "kill") == 0 ? LEFTOVER_KILL
                                                   : LEFTOVER_TERM,
        .grace_ms = atoi(argv[2]),
    };
    what = strdup(argv[3]);
    const char *only = getenv("LAUNCHER_ONLY");
    struct launch launch_it = {
        .words = (const char **)argv + 4,
        .title = "run-test",
        .only = only != NULL ? atoi(only) : -1,
        .keep = {-1, -1},
        .prepare = prepare,
        .ended = ended,
        .context = &end,
    };
    int status, result = launch(&launch_it, &status);
    return result != 0 ? result : launch_exit_like(status);
}
