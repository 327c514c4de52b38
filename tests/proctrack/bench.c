/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process tracker costs: a partition with 100 processes among 1000 on the machine.
 * Prints medians; asserts nothing.
 */
#include "core/proctrack/proctrack.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ALL     1000
#define MEMBERS 100
#define ROUNDS  51

static struct proctrack *proctrack;
static pid_t pids[ALL];
static struct procfs_process first;

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void scan(void)
{
    proctrack_scan(proctrack);
}

static void members(void)
{
    proctrack_members(proctrack, 1, NULL, NULL);
}

static void partition_of(void)
{
    struct proctrack_set set;
    proctrack_find(proctrack, pids[MEMBERS / 2], &set);
}

static void stranger(void)
{
    struct proctrack_set set;
    proctrack_find(proctrack, pids[ALL - 1], &set);
}

static void join_and_move(void)
{
    static uint64_t id = 2;
    struct message why;
    id = 5 - id; /* 2 and 3 in turn */
    proctrack_join(proctrack, &(struct proctrack_set){{id}}, 0, &first, &why);
}

/* The first join of a partition, and the end of the one before. */
static void join_and_end(void)
{
    static uint64_t id = 10;
    struct message why;
    proctrack_join(proctrack, &(struct proctrack_set){{++id}}, 0, &first, &why);
    while (proctrack_forget(proctrack, id - 1) == -EBUSY)
        sched_yield();
}

static void signal_all(void)
{
    while (proctrack_signal(proctrack, 1, SIGWINCH, false, NULL) == -EAGAIN)
        sched_yield();
}

static void measure(const char *what, void (*fn)(void))
{
    int64_t took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = now_ns();
        fn();
        took[i] = now_ns() - start;
    }
    qsort(took, ROUNDS, sizeof(*took), compare);
    printf("%-13s %-28s p50 %8.1f us  p90 %8.1f us\n", proctrack_word(proctrack), what,
           (double)took[ROUNDS / 2] / 1000, (double)took[ROUNDS * 9 / 10] / 1000);
}

static void start_all(void)
{
    for (int i = 0; i < ALL; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (;;)
                pause();
        }
    }
}

static void end_all(void)
{
    for (int i = 0; i < ALL; i++) {
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
    }
    for (int i = 0; i < ALL; i++) {
        if (pids[i] > 0)
            waitpid(pids[i], NULL, 0);
    }
}

static void bench(const char *mode, const char *directory)
{
    struct message why = {""};
    struct procfs_process process;
    struct proctrack_options options = {
        .instance = "00be2c4000be2c40", .state_dir = directory, .mode = mode};
    if (proctrack_open(&options, &proctrack, &why) != 0) {
        printf("%-13s not measured: %s\n", mode, why.text);
        return;
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (proctrack_look(proctrack, pids[i], &process) == 0)
            proctrack_join(proctrack, &(struct proctrack_set){{1}}, 0, &process, &why);
    }
    proctrack_look(proctrack, pids[MEMBERS], &first);
    measure("scan of 1000", scan);
    measure("members, 100", members);
    measure("partition of a member", partition_of);
    measure("partition of a stranger", stranger);
    measure("signal to 100", signal_all);
    measure("join", join_and_move);
    measure("first join and an end", join_and_end);
    for (uint64_t id = 1; id < 100; id++) {
        for (int i = 0; i < 1000 && proctrack_forget(proctrack, id) != 0; i++) {
            proctrack_kill(proctrack, id, i % 10 == 9);
            usleep(1000);
        }
    }
    proctrack = proctrack_close(proctrack);
}

int main(void)
{
    static const char *const modes[] = {"cgroup", "process-tree"};
    char directory[] = "/tmp/proctrack-bench-XXXXXX", path[64];
    if (!mkdtemp(directory))
        return 1;
    for (size_t i = 0; i < 2; i++) {
        start_all();
        bench(modes[i], directory);
        end_all();
    }
    snprintf(path, sizeof(path), "%s/members", directory);
    unlink(path);
    return rmdir(directory) != 0;
}
