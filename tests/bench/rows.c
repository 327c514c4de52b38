/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITERS      16
#define EACH         15 /* creates of one writer in a turn */
#define SYNCS        100
#define CROWDS       3
#define DEVICES      8
#define STREAK       10
#define REQUEST      "1M 3600\n"
#define PARTICIPANTS (2 + 2 * BENCH_SUBJECTS)

const struct bench_row bench_rows[ROWS] = {
    [ROW_READ] = {"open+read+close of remaining / null", "1.25", false},
    [ROW_CHARGE] = {"charge + give back / two null writes", "1.25", false},
    [ROW_CREATE] = {"durable create / null write + one sync", "1.5", false},
    [ROW_RELEASE] = {"durable release / null write + one sync", "", false},
    [ROW_WRITERS] = {"16 writers, 8 devices: creates/s / syncs/s", ">3", true},
    [ROW_COMMAND] = {"chronos create / cat of a null file", "3", false},
    [ROW_AVAILABLE] = {"chronos available / cat of a null file", "", false},
    [ROW_LIST] = {"chronos list of 113 partitions / ls of a null tree", "", false},
    [ROW_RUN] = {"chronos run of true / env true", "", false},
    [ROW_CREATE_BIG] = {"create at 100,000 live / at 112", "1.5", false},
    [ROW_RELEASE_BIG] = {"release at 100,000 live / at 112", "", false},
    [ROW_END_P50] = {"delay of an end as a client sees it, p50 / a bare timer", "", false},
    [ROW_END_P99] = {"delay of an end as a client sees it, p99 / a bare timer", "5000 us", false},
};

/* -- turns --------------------------------------------------------------------------- */

int rows_turn(const struct bench *bench, int baselines, int each, int turn, int k)
{
    if (k < baselines)
        return k;
    int subject = (k - baselines) / each, nth = (k - baselines) % each;
    if (turn % 2)
        subject = bench->subject_count - 1 - subject;
    return baselines + subject * each + nth;
}

/* Gives the median of each participant, the baselines first. Many operations are done in streaks:
 * a server that still looks for requests of its own must not disturb the next participant's. */
static void take_turns(struct bench *bench, int baselines, int each, int turns, rows_operation *fn,
                       double *ret_us)
{
    static double us[PARTICIPANTS][BENCH_TURNS];
    int participants = baselines + each * bench->subject_count;
    int streak = turns >= 2 * STREAK ? STREAK : 1;
    for (int turn = 0; turn < turns; turn += streak)
        for (int k = 0; k < participants; k++) {
            int who = rows_turn(bench, baselines, each, turn / streak, k);
            for (int i = turn; i < turn + streak && i < turns; i++)
                us[who][i] = fn(bench, who);
        }
    for (int who = 0; who < participants; who++)
        ret_us[who] = measure_quantile(us[who], (size_t)turns, 0.5);
}

void rows_note(struct bench *bench, enum row row, int subject, double base_us, double real_us)
{
    bench->samples[row][bench->mode][bench->round][subject] =
        (struct bench_sample){base_us, real_us};
}

void rows_plain(struct bench *bench, enum row row, int turns, rows_operation *fn)
{
    double us[PARTICIPANTS];
    take_turns(bench, 1, 1, turns, fn, us);
    for (int s = 0; s < bench->subject_count; s++)
        rows_note(bench, row, s, us[0], us[1 + s]);
}

/* -- single files --------------------------------------------------------------------- */

int rows_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        measure_die(path);
    return fd;
}

static void subject_file(const struct bench *bench, int who, const char *name, char *ret_path,
                         size_t size)
{
    const struct bench_mount *mount = &bench->subjects[who - 1].small;
    snprintf(ret_path, size, "%s/gpu0/p%lu/%s", mount->root, mount->kept, name);
}

static double read_once(struct bench *bench, int who)
{
    char path[2 * BENCH_PATH], buffer[64];
    if (who)
        subject_file(bench, who, "remaining", path, sizeof(path));
    else
        snprintf(path, sizeof(path), "%s", bench->null_file);
    double start = measure_now_us();
    int fd = rows_open(path, O_RDONLY);
    if (read(fd, buffer, sizeof(buffer)) <= 0)
        measure_die(path);
    close(fd);
    return measure_now_us() - start;
}

static int charge_fds[1 + BENCH_SUBJECTS];

static double charge_once(struct bench *bench, int who)
{
    (void)bench;
    double start = measure_now_us();
    if (write(charge_fds[who], "+4096\n", 6) < 0 || write(charge_fds[who], "-4096\n", 6) < 0)
        measure_die("charge");
    return measure_now_us() - start;
}

/* On files that are open already, as clients hold them. */
static void measure_charge(struct bench *bench)
{
    charge_fds[0] = rows_open(bench->null_file, O_WRONLY);
    for (int who = 1; who <= bench->subject_count; who++) {
        char path[2 * BENCH_PATH];
        subject_file(bench, who, "charge", path, sizeof(path));
        charge_fds[who] = rows_open(path, O_WRONLY);
    }
    rows_plain(bench, ROW_CHARGE, BENCH_TURNS, charge_once);
    for (int who = 0; who <= bench->subject_count; who++)
        close(charge_fds[who]);
}

/* -- create and release ----------------------------------------------------------------- */

double rows_create(const char *path, const char *request, unsigned long *ret_id)
{
    char id[32] = "";
    double start = measure_now_us();
    int fd = rows_open(path, O_RDWR | O_TRUNC);
    if (write(fd, request, strlen(request)) < 0)
        measure_die(path);
    double us = measure_now_us() - start;
    if (ret_id) {
        if (read(fd, id, sizeof(id) - 1) < 2)
            measure_die(path);
        *ret_id = strtoul(id + 1, NULL, 10);
    }
    start = measure_now_us();
    close(fd);
    return us + measure_now_us() - start;
}

static double append_sync(const struct bench *bench)
{
    static int fd;
    if (!fd)
        fd = rows_open(bench->sync_file, O_WRONLY | O_CREAT | O_APPEND);
    char record[64] = "record";
    double start = measure_now_us();
    if (write(fd, record, sizeof(record)) < 0 || fdatasync(fd))
        measure_die(bench->sync_file);
    return measure_now_us() - start;
}

/* Participants: a null write, a sync, and the small and the big mount of each subject. */
static struct bench_mount *mount_of(struct bench *bench, int who)
{
    struct bench_subject *subject = &bench->subjects[(who - 2) / 2];
    return who % 2 ? &subject->big : &subject->small;
}

static double create_once(struct bench *bench, int who)
{
    if (who == 0)
        return rows_create(bench->null_file, REQUEST, NULL);
    if (who == 1)
        return append_sync(bench);
    struct bench_mount *mount = mount_of(bench, who);
    char path[2 * BENCH_PATH];
    unsigned long id;
    snprintf(path, sizeof(path), "%s/gpu0/new", mount->root);
    double us = rows_create(path, REQUEST, &id);
    mount->ids[mount->id_count++] = id;
    return us;
}

static double release_once(struct bench *bench, int who)
{
    if (who < 2)
        return create_once(bench, who);
    struct bench_mount *mount = mount_of(bench, who);
    char path[2 * BENCH_PATH];
    snprintf(path, sizeof(path), "%s/partitions/p%lu", mount->root, mount->ids[--mount->id_count]);
    double start = measure_now_us();
    if (unlink(path))
        measure_die(path);
    return measure_now_us() - start;
}

static void measure_create(struct bench *bench, rows_operation *fn, enum row row, enum row big_row)
{
    double us[PARTICIPANTS];
    take_turns(bench, 2, 2, BENCH_CREATES, fn, us);
    for (int s = 0; s < bench->subject_count; s++) {
        double small = us[2 + 2 * s], big = us[3 + 2 * s];
        rows_note(bench, row, s, us[0] + us[1], small);
        rows_note(bench, big_row, s, small, big);
    }
}

void rows_release_rest(struct bench_mount *mount)
{
    char path[2 * BENCH_PATH];
    snprintf(path, sizeof(path), "%s/partitions", mount->root);
    DIR *dir = opendir(path);
    if (!dir)
        measure_die(path);
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strtoul(entry->d_name + 1, NULL, 10) > mount->kept &&
            unlinkat(dirfd(dir), entry->d_name, 0) && errno != ENOENT)
            measure_die(entry->d_name);
    closedir(dir);
}

/* -- many writers ------------------------------------------------------------------------ */

struct writer {
    const struct bench_mount *mount;
    int device, count;
};

static void *writer_main(void *argument)
{
    const struct writer *writer = argument;
    char path[2 * BENCH_PATH];
    snprintf(path, sizeof(path), "%s/gpu%d/new", writer->mount->root, writer->device);
    int fd = rows_open(path, O_WRONLY);
    for (int i = 0; i < writer->count; i++)
        if (write(fd, REQUEST, strlen(REQUEST)) < 0)
            measure_die(path);
    close(fd);
    return NULL;
}

/* Returns microseconds. */
static double run_writers(const struct bench_mount *mount, int each)
{
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    double start = measure_now_us();
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){mount, i % DEVICES, each};
        pthread_create(&threads[i], NULL, writer_main, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    return measure_now_us() - start;
}

/* Participant 0 only syncs; the others are crowds. Microseconds for one. */
static double crowd_once(struct bench *bench, int who)
{
    if (who) {
        struct bench_mount *mount = &bench->subjects[who - 1].small;
        double us = run_writers(mount, EACH) / (WRITERS * EACH);
        rows_release_rest(mount);
        return us;
    }
    double us = 0;
    for (int i = 0; i < SYNCS; i++)
        us += append_sync(bench);
    return us / SYNCS;
}

static void add_memory(void *context, pid_t pid, pid_t tid)
{
    if (tid == pid) /* its other threads share it */
        *(long *)context += rows_status(pid, tid, "RssAnon:");
}

void rows_fill(struct bench_subject *subject)
{
    struct bench_mount *mounts[] = {&subject->small, &subject->big};
    for (int i = 0; i < 2; i++) {
        char path[2 * BENCH_PATH];
        run_writers(mounts[i], BENCH_SMALL / WRITERS);
        snprintf(path, sizeof(path), "%s/gpu0/new", mounts[i]->root);
        rows_create(path, REQUEST, &mounts[i]->kept);
    }
    long before = 0, after = 0;
    measure_tasks(subject->big.pid, add_memory, &before);
    run_writers(&subject->big, BENCH_BIG / WRITERS);
    measure_tasks(subject->big.pid, add_memory, &after);
    subject->bytes_each = (double)(after - before) * 1024 / BENCH_BIG;
}

/* ---------------------------------------------------------------------------------------- */

void rows_round(struct bench *bench)
{
    rows_plain(bench, ROW_READ, BENCH_TURNS, read_once);
    measure_charge(bench);
    measure_create(bench, create_once, ROW_CREATE, ROW_CREATE_BIG);
    measure_create(bench, release_once, ROW_RELEASE, ROW_RELEASE_BIG);
    rows_plain(bench, ROW_WRITERS, CROWDS, crowd_once);
    commands_round(bench);
    ends_round(bench);
}

long rows_status(pid_t pid, pid_t tid, const char *word)
{
    char path[64], line[256];
    long value = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, word, strlen(word)))
            value = strtol(line + strlen(word), NULL, 10);
    if (file)
        fclose(file);
    return value;
}
