/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How benchmarks measure: medians, spreads over rounds, and two modes, with all
 * processes that take part pinned to one processor or free on all that are allowed.
 */
#ifndef CHRONOS_MEASURE_H
#define CHRONOS_MEASURE_H

#include <stddef.h>
#include <sys/types.h>

enum measure_mode { MEASURE_PINNED, MEASURE_FREE, MEASURE_MODES };

struct measure_spread {
    double median, low, high;
};

double measure_now_us(void);

/* Sorts the values. */
double measure_quantile(double *values, size_t count, double q);
struct measure_spread measure_spread(double *values, size_t count);

/* Looks up the allowed processors. Returns the number of modes that can be told apart: 1
 * when only one processor is allowed. Says on stdout which processors the modes use. */
int measure_open(void);

/* Moves this process and the trees of processes below `pids` to the processors of the mode. */
void measure_enter(enum measure_mode mode, const pid_t *pids, size_t count);

/* Calls back for each thread of the process and of its descendants. */
typedef void measure_task_fn(void *context, pid_t pid, pid_t tid);
void measure_tasks(pid_t pid, measure_task_fn *fn, void *context);

/* Prints what went wrong with errno and exits with 1. */
_Noreturn void measure_die(const char *what);

#endif
