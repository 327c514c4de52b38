/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The costs of one build of chronosfs, or of two side by side, as ratios against
 * baselines of the same run: a null FUSE filesystem on the same kind of loop, and a bare
 * append + fdatasync. In each round everybody takes turns at each operation, once pinned
 * and once free. Prints; never fails on a figure. Run by run.sh, which mounts.
 *
 *     bench ROUNDS DIR TABLE NAME...
 *
 * TABLE gets the figures as lines of cells with tabs between, for docs/benchmarks.md.
 * DIR holds the mounted null filesystem `null`, its pid in `null.pid`, and for each NAME a
 * folder with the command `chronos`, two mounts `small` and `big`, and their pids.
 */
#include "load.h"
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOWER      1.05
#define IDLE_S      5
#define LOAD_ROUNDS 3

static struct bench bench;
static FILE *table;
/* Per cent of a core, the median of LOAD_ROUNDS. */
static double loads[LOAD_RATES][BENCH_SUBJECTS];

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

/* Rounds of all subjects by turns. */
static void measure_loads(void)
{
    double percent[BENCH_SUBJECTS][LOAD_RATES][LOAD_ROUNDS], rates[LOAD_RATES];
    for (int round = 0; round < LOAD_ROUNDS; round++)
        for (int s = 0; s < bench.subject_count; s++) {
            load_measure(&bench, s, rates);
            for (int i = 0; i < LOAD_RATES; i++)
                percent[s][i][round] = rates[i];
        }
    for (int s = 0; s < bench.subject_count; s++)
        for (int i = 0; i < LOAD_RATES; i++)
            loads[i][s] = measure_quantile(percent[s][i], LOAD_ROUNDS, 0.5);
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

/* Times below 10 us with a decimal. */
static void table_time(double us)
{
    if (us < 9950)
        fprintf(table, ", %.*f us", us < 10, us);
    else
        fprintf(table, ", %.*f ms", us < 99500, us / 1e3);
}

/* Cells: pinned, then free. Of one subject: ratio and spread with the time. Of two: both, and the
 * time after against the time before. */
static void table_row(enum row row, int modes)
{
    fprintf(table, "%s", bench_rows[row].name);
    for (int mode = 0; mode < modes; mode++) {
        for (int s = 0; s < bench.subject_count; s++) {
            struct measure_spread own = ratio(row, mode, s, -1);
            fprintf(table, "\t%.2f x", own.median);
            if (bench.subject_count == 1)
                fprintf(table, " (%.2f to %.2f)", own.low, own.high);
            table_time(time_us(row, mode, s));
        }
        if (bench.subject_count > 1) {
            struct measure_spread both = ratio(row, mode, 1, 0);
            fprintf(table, "\t%.2f (%.2f to %.2f)", both.median, both.low, both.high);
        }
    }
    fprintf(table, "\n");
}

static void table_head(int modes)
{
    static const char *const words[] = {"pinned", "free"};
    for (int mode = 0; mode < modes; mode++)
        for (int s = 0; s < bench.subject_count; s++) {
            bool both = bench.subject_count > 1;
            fprintf(table, "\t%s%s%s", words[mode], both ? ", " : "",
                    both ? bench.subjects[s].name : "");
            if (s == 1)
                fprintf(table, "\tafter/before");
        }
    fprintf(table, "\n");
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

/* Return the time after to the time before, or 0 where before is next to nothing. */
static double change(const double *values)
{
    return bench.subject_count > 1 && values[0] >= 0.005 ? values[1] / values[0] : 0;
}

static void print_single(const char *name, const char *aim, const char *unit, int decimals,
                         const double *values, int modes)
{
    fprintf(table, "%s", name);
    for (int mode = 0; mode < modes; mode++) {
        for (int s = 0; s < bench.subject_count; s++)
            if (mode == modes - 1)
                fprintf(table, "\t%.*f %s", decimals, values[s], unit);
            else
                fprintf(table, "\t");
        if (mode == modes - 1 && change(values) > 0)
            fprintf(table, "\t%.2f", change(values));
        else if (bench.subject_count > 1)
            fprintf(table, "\t");
    }
    fprintf(table, "\n");
    printf("%-52s %-7s", name, aim);
    for (int s = 0; s < bench.subject_count; s++)
        printf(" | %s%s%.*f %s", bench.subject_count > 1 ? bench.subjects[s].name : "",
               bench.subject_count > 1 ? " " : "", decimals, values[s], unit);
    if (change(values) > 0)
        printf(" | %.2f %s", change(values), change(values) > SLOWER ? "!" : "");
    printf("\n");
}

static void print_all(int modes, const long *wake_ups)
{
    double bytes[BENCH_SUBJECTS], counts[BENCH_SUBJECTS], early = 0;
    print_head(modes);
    table_head(modes);
    for (int row = 0; row < ROWS; row++) {
        print_row((enum row)row, modes);
        table_row((enum row)row, modes);
    }
    for (int s = 0; s < bench.subject_count; s++) {
        bytes[s] = bench.subjects[s].bytes_each;
        counts[s] = (double)wake_ups[s];
        early += bench.subjects[s].early;
    }
    print_single("memory per live partition", "1024", "bytes", 0, bytes, modes);
    print_single("wake-ups in 5 s while nothing happens", "0", "", 0, counts, modes);
    for (int i = 0; i < LOAD_RATES; i++) {
        char name[64];
        snprintf(name, sizeof(name), "the daemon's time of a core, %d reads/s", load_rates[i]);
        print_single(name, load_rates[i] == 1 ? "2" : "", "%", 2, loads[i], modes);
    }
    printf("%-52s %-7s | %.0f\n", "ends told early", "0", early);
    if (bench.subject_count > 1)
        printf("\nbefore, after: against the baseline. after/before: time against time, median of "
               "the rounds (least-most),\nmarked where above %.2f: ! slower in every round, ? the "
               "rounds disagree (take more).\n",
               SLOWER);
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 4 + BENCH_SUBJECTS || atoi(argv[1]) < 1 ||
        atoi(argv[1]) > BENCH_ROUNDS_MAX) {
        fprintf(stderr,
                "usage: bench ROUNDS DIR TABLE NAME...\n"
                "ROUNDS is 1 to %d; at most %d names.\n",
                BENCH_ROUNDS_MAX, BENCH_SUBJECTS);
        return 2;
    }
    double start = measure_now_us();
    long wake_ups[BENCH_SUBJECTS];
    bench.rounds = atoi(argv[1]);
    int modes = measure_open();
    fflush(stdout);
    table = fopen(argv[3], "we");
    if (!table)
        measure_die(argv[3]);
    set_up(argv[2], argv + 4, argc - 4);
    count_wake_ups(wake_ups);
    for (bench.round = 0; bench.round < bench.rounds; bench.round++)
        for (bench.mode = 0; bench.mode < modes; bench.mode++) {
            measure_enter((enum measure_mode)bench.mode, bench.pids, bench.pid_count);
            rows_round(&bench);
        }
    measure_loads();
    print_all(modes, wake_ups);
    if (fclose(table))
        measure_die(argv[3]);
    printf("%d rounds, %.0f s.\n", bench.rounds, (measure_now_us() - start) / 1e6);
    return 0;
}
