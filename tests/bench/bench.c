/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The costs of one build of chronosfs, or of two side by side, as ratios against
 * baselines of the same run: a null FUSE filesystem on the same kind of loop, and a bare
 * append + fdatasync. In each round everybody takes turns at each operation, once pinned
 * and once free. Prints; never fails on a figure. Run by run.sh, which mounts.
 *
 *     bench ROUNDS DIR NAME...
 *
 * DIR holds the mounted null filesystem `null`, its pid in `null.pid`, and for each NAME a
 * folder with the command `chronos`, two mounts `small` and `big`, and their pids.
 */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOWER 1.05
#define IDLE_S 5

static struct bench bench;

static pid_t read_pid(const char *mount)
{
    char path[BENCH_PATH];
    int pid = 0;
    snprintf(path, sizeof(path), "%s.pid", mount);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%d", &pid) != 1)
        measure_die(path);
    fclose(file);
    return pid;
}

static pid_t open_mount(struct bench_mount *mount, const char *dir, const char *name)
{
    snprintf(mount->root, sizeof(mount->root), "%s/%s", dir, name);
    return mount->pid = read_pid(mount->root);
}

static void set_up(const char *dir, char **names, int count)
{
    bench.pids[bench.pid_count++] = open_mount(&bench.null, dir, "null");
    snprintf(bench.null_file, sizeof(bench.null_file), "%s/null/null", dir);
    snprintf(bench.sync_file, sizeof(bench.sync_file), "%s/sync", dir);
    bench.subject_count = count;
    for (int s = 0; s < count; s++) {
        struct bench_subject *subject = &bench.subjects[s];
        char path[BENCH_PATH / 2];
        snprintf(path, sizeof(path), "%s/%s", dir, names[s]);
        subject->name = names[s];
        snprintf(subject->chronos, sizeof(subject->chronos), "%s/chronos", path);
        bench.pids[bench.pid_count++] = open_mount(&subject->small, path, "small");
        bench.pids[bench.pid_count++] = open_mount(&subject->big, path, "big");
        rows_fill(subject);
    }
    sync(); /* the disk still writes what the fill left */
    sleep(1);
}

static void add_switches(void *context, pid_t pid, pid_t tid)
{
    *(long *)context += rows_status(pid, tid, "voluntary_ctxt_switches:") +
                        rows_status(pid, tid, "nonvoluntary_ctxt_switches:");
}

static long switches(const struct bench_subject *subject)
{
    long count = 0;
    measure_tasks(subject->small.pid, add_switches, &count);
    measure_tasks(subject->big.pid, add_switches, &count);
    return count;
}

static void count_wake_ups(long *ret_counts)
{
    sleep(2); /* for what the last request left to do */
    for (int s = 0; s < bench.subject_count; s++)
        ret_counts[s] = -switches(&bench.subjects[s]);
    sleep(IDLE_S);
    for (int s = 0; s < bench.subject_count; s++)
        ret_counts[s] += switches(&bench.subjects[s]);
}

/* -- the table ---------------------------------------------------------------------- */

/* The ratio over the rounds: against the baseline, or against the other subject's time. */
static struct measure_spread ratio(enum row row, int mode, int subject, int against)
{
    double values[BENCH_ROUNDS_MAX];
    for (int i = 0; i < bench.rounds; i++) {
        const struct bench_sample *samples = bench.samples[row][mode][i];
        double real = samples[subject].real_us;
        double base = against < 0 ? samples[subject].base_us : samples[against].real_us;
        values[i] = against < 0 && bench_rows[row].is_rate ? base / real : real / base;
    }
    return measure_spread(values, (size_t)bench.rounds);
}

static double time_us(enum row row, int mode, int subject)
{
    double values[BENCH_ROUNDS_MAX];
    for (int i = 0; i < bench.rounds; i++)
        values[i] = bench.samples[row][mode][i][subject].real_us;
    return measure_quantile(values, (size_t)bench.rounds, 0.5);
}

static void print_head(int modes)
{
    static const char *const words[] = {"pinned", "free"};
    printf("\n%-52s %-7s", bench.subject_count == 1 ? "ratios: median (least-most) time" : "ratios",
           "aim");
    for (int mode = 0; mode < modes; mode++)
        if (bench.subject_count == 1)
            printf(" | %-29s", words[mode]);
        else
            printf(" | %-6s %6s %6s  after/before     ", words[mode], "before", "after");
    printf("\n");
}

static void print_row(enum row row, int modes)
{
    printf("%-52s %-7s", bench_rows[row].name, bench_rows[row].aim);
    for (int mode = 0; mode < modes; mode++) {
        struct measure_spread own = ratio(row, mode, 0, -1);
        char spread[32];
        if (bench.subject_count == 1) {
            snprintf(spread, sizeof(spread), "(%.2f-%.2f)", own.low, own.high);
            printf(" | %5.2f x %-13s %5.0f us", own.median, spread, time_us(row, mode, 0));
            continue;
        }
        struct measure_spread both = ratio(row, mode, 1, 0);
        snprintf(spread, sizeof(spread), "(%.2f-%.2f)", both.low, both.high);
        printf(" | %13.2f %6.2f  %.2f %-11s%c", own.median, ratio(row, mode, 1, -1).median,
               both.median, spread,
               both.median <= SLOWER ? ' '
               : both.low > 1        ? '!'
                                     : '?');
    }
    printf("\n");
}

static void print_single(const char *name, const char *aim, const char *unit, const double *values)
{
    printf("%-52s %-7s", name, aim);
    for (int s = 0; s < bench.subject_count; s++)
        printf(" | %s%s%.0f %s", bench.subject_count > 1 ? bench.subjects[s].name : "",
               bench.subject_count > 1 ? " " : "", values[s], unit);
    if (bench.subject_count > 1 && values[0] > 0)
        printf(" | %.2f %s", values[1] / values[0], values[1] / values[0] > SLOWER ? "!" : "");
    printf("\n");
}

static void print_all(int modes, const long *wake_ups)
{
    double bytes[BENCH_SUBJECTS], counts[BENCH_SUBJECTS], early = 0;
    print_head(modes);
    for (int row = 0; row < ROWS; row++)
        print_row((enum row)row, modes);
    for (int s = 0; s < bench.subject_count; s++) {
        bytes[s] = bench.subjects[s].bytes_each;
        counts[s] = (double)wake_ups[s];
        early += bench.subjects[s].early;
    }
    print_single("memory per live partition", "1024", "bytes", bytes);
    print_single("wake-ups in 5 s while nothing happens", "0", "", counts);
    printf("%-52s %-7s | %.0f\n", "ends told early", "0", early);
    if (bench.subject_count > 1)
        printf("\nbefore, after: against the baseline. after/before: time against time, median of "
               "the rounds (least-most),\nmarked where above %.2f: ! slower in every round, ? the "
               "rounds disagree (take more).\n",
               SLOWER);
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 3 + BENCH_SUBJECTS || atoi(argv[1]) < 1 ||
        atoi(argv[1]) > BENCH_ROUNDS_MAX) {
        fprintf(stderr,
                "usage: bench ROUNDS DIR NAME...\n"
                "ROUNDS is 1 to %d; at most %d names.\n",
                BENCH_ROUNDS_MAX, BENCH_SUBJECTS);
        return 2;
    }
    double start = measure_now_us();
    long wake_ups[BENCH_SUBJECTS];
    bench.rounds = atoi(argv[1]);
    int modes = measure_open();
    fflush(stdout);
    set_up(argv[2], argv + 3, argc - 3);
    count_wake_ups(wake_ups);
    for (bench.round = 0; bench.round < bench.rounds; bench.round++)
        for (bench.mode = 0; bench.mode < modes; bench.mode++) {
            measure_enter((enum measure_mode)bench.mode, bench.pids, bench.pid_count);
            rows_round(&bench);
        }
    print_all(modes, wake_ups);
    printf("%d rounds, %.0f s.\n", bench.rounds, (measure_now_us() - start) / 1e6);
    return 0;
}
