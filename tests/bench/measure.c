/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static cpu_set_t processors[MEASURE_MODES];

double measure_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_quantile(double *values, size_t count, double q)
{
    qsort(values, count, sizeof(*values), compare);
    return values[(size_t)((double)(count - 1) * q)];
}

struct measure_spread measure_spread(double *values, size_t count)
{
    double median = measure_quantile(values, count, 0.5);
    return (struct measure_spread){median, values[0], values[count - 1]};
}

int measure_open(void)
{
    cpu_set_t *all = &processors[MEASURE_FREE], *one = &processors[MEASURE_PINNED];
    if (sched_getaffinity(0, sizeof(*all), all))
        measure_die("sched_getaffinity");
    unsigned last = CPU_SETSIZE - 1; /* the first one is where most interrupts go */
    while (!CPU_ISSET(last, all))
        last--;
    CPU_ZERO(one);
    CPU_SET(last, one);
    if (CPU_COUNT(all) == 1) {
        printf("Only processor %u is allowed: all figures are pinned.\n", last);
        return 1;
    }
    printf("pinned: all processes on processor %u; free: on any of %d.\n", last, CPU_COUNT(all));
    return 2;
}

void measure_tasks(pid_t pid, measure_task_fn *fn, void *context)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    struct dirent *entry;
    while (tasks && (entry = readdir(tasks))) {
        pid_t tid = (pid_t)atoi(entry->d_name), child;
        if (tid <= 0)
            continue;
        fn(context, pid, tid);
        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tid);
        FILE *children = fopen(path, "re");
        while (children && fscanf(children, "%d", &child) == 1)
            measure_tasks(child, fn, context);
        if (children)
            fclose(children);
    }
    if (tasks)
        closedir(tasks);
}

static void move(void *context, pid_t pid, pid_t tid)
{
    (void)pid;
    if (sched_setaffinity(tid, sizeof(cpu_set_t), context) && errno != ESRCH)
        measure_die("sched_setaffinity");
}

void measure_enter(enum measure_mode mode, const pid_t *pids, size_t count)
{
    measure_tasks(getpid(), move, &processors[mode]);
    for (size_t i = 0; i < count; i++)
        measure_tasks(pids[i], move, &processors[mode]);
}

void measure_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}
