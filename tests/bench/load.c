/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOAD_US 3e6

const int load_rates[LOAD_RATES] = {0, 1, 100, 10000};

static void add_spent(void *context, pid_t pid, pid_t tid)
{
    char path[64];
    double spent_ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%lf", &spent_ns) == 1)
        *(double *)context += spent_ns;
    if (file)
        fclose(file);
}

static double spent_ns(const struct bench_mount *mount)
{
    double ns = 0;
    measure_tasks(mount->pid, add_spent, &ns);
    return ns;
}

static void wait_until(double at_us)
{
    double left = at_us - measure_now_us();
    if (left > 0)
        usleep((useconds_t)left);
}

/* Each request is one read of a file that is open. Requests that are late are made up for. */
static double at_rate(const struct bench_mount *mount, int fd, int rate)
{
    char buffer[64];
    double before = spent_ns(mount), start = measure_now_us();
    long count = (long)(rate * LOAD_US / 1e6);
    for (long i = 0; i < count; i++) {
        wait_until(start + LOAD_US * (double)i / (double)count);
        if (pread(fd, buffer, sizeof(buffer), 0) <= 0)
            measure_die("remaining");
    }
    wait_until(start + LOAD_US);
    double percent = (spent_ns(mount) - before) / 1e3 / (measure_now_us() - start) * 100;
    return percent;
}

void load_measure(struct bench *bench, int subject, double ret_percent[LOAD_RATES])
{
    const struct bench_mount *mount = &bench->subjects[subject].small;
    char path[2 * BENCH_PATH];
    snprintf(path, sizeof(path), "%s/gpu0/p%lu/remaining", mount->root, mount->kept);
    int fd = rows_open(path, O_RDONLY);
    for (int i = 0; i < LOAD_RATES; i++)
        ret_percent[i] = at_rate(mount, fd, load_rates[i]);
    close(fd);
}
