/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the benchmark's table, and the rounds that measure them. */
#ifndef CHRONOS_BENCH_ROWS_H
#define CHRONOS_BENCH_ROWS_H

#include "measure.h"

#include <stdbool.h>

#define BENCH_PATH       512
#define BENCH_SUBJECTS   2
#define BENCH_ROUNDS_MAX 99
#define BENCH_TURNS      1000
#define BENCH_CREATES    120
#define BENCH_BIG        100000
#define BENCH_SMALL      112

enum row {
    ROW_READ,
    ROW_CHARGE,
    ROW_CREATE,
    ROW_RELEASE,
    ROW_WRITERS,
    ROW_COMMAND,
    ROW_AVAILABLE,
    ROW_LIST,
    ROW_RUN,
    ROW_CREATE_BIG,
    ROW_RELEASE_BIG,
    ROW_END_P50,
    ROW_END_P99,
    ROWS
};

struct bench_row {
    const char *name, *aim;
    bool is_rate; /* printed as baseline against time: more is better */
};
extern const struct bench_row bench_rows[ROWS];

struct bench_sample {
    double base_us, real_us;
};

struct bench_mount {
    char root[BENCH_PATH];
    pid_t pid;
    unsigned long kept; /* partitions up to this id stay */
    unsigned long ids[BENCH_CREATES];
    int id_count;
};

struct bench_subject {
    const char *name;
    char chronos[BENCH_PATH];
    struct bench_mount small, big; /* BENCH_SMALL and BENCH_BIG partitions live all the time */
    double bytes_each;
    int early; /* ends told before their time */
};

struct bench {
    struct bench_mount null;
    char null_file[BENCH_PATH], sync_file[BENCH_PATH];
    struct bench_subject subjects[BENCH_SUBJECTS];
    int subject_count;
    pid_t pids[1 + 2 * BENCH_SUBJECTS];
    size_t pid_count;
    int rounds, round, mode;
    struct bench_sample samples[ROWS][MEASURE_MODES][BENCH_ROUNDS_MAX][BENCH_SUBJECTS];
};

/* Makes the partitions that live all the time, and measures what they take. */
void rows_fill(struct bench_subject *subject);

/* Measures all rows once, into the samples of bench->round and bench->mode. */
void rows_round(struct bench *bench);

void commands_round(struct bench *bench);
void ends_round(struct bench *bench);

/* What the rows share. */

/* One operation of a participant; returns microseconds. */
typedef double rows_operation(struct bench *bench, int who);

/* For rows where participant 0 is the baseline and the subjects follow. */
void rows_plain(struct bench *bench, enum row row, int turns, rows_operation *fn);

/* Releases what a row left in the mount. */
void rows_release_rest(struct bench_mount *mount);

/* The participant at place k of a turn: the baselines, then the subjects with `each` mounts.
 * The subjects change their order every turn, and none ever follows itself: a warm cache
 * would be its gain. */
int rows_turn(const struct bench *bench, int baselines, int each, int turn, int k);

void rows_note(struct bench *bench, enum row row, int subject, double base_us, double real_us);
int rows_open(const char *path, int flags); /* exits on failure, as all of these */

/* Writes a request; reads the id back unless ret_id is NULL. Returns microseconds, the
 * reading left out. */
double rows_create(const char *path, const char *request, unsigned long *ret_id);

/* The number behind this word in a thread's /proc status; 0 if there is none. */
long rows_status(pid_t pid, pid_t tid, const char *word);

#endif
