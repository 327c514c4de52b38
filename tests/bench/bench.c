/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What chronosfs costs, as ratios against baselines of the same run: a null FUSE
 * filesystem on the same loop, and a bare append + fdatasync. Prints; never fails
 * on a figure. Run by run.sh, which mounts.
 *
 *     bench NULLMOUNT CHRONOSMOUNT STATEDIR WORKERPID CHRONOS
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS  3000
#define WRITERS 16
#define DEVICES 8

struct bench {
    char null_file[512], root[512], sync_file[512], remaining[600];
    const char *chronos;
    int worker_pid;
};

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

static void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* -- single operations; each returns microseconds -------------------------------- */

static double open_read_close(const char *path)
{
    char buffer[64];
    double start = now_us();
    int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, buffer, sizeof(buffer)) <= 0)
        die(path);
    close(fd);
    return now_us() - start;
}

static double open_write_close(const char *path, const char *line)
{
    double start = now_us();
    int fd = open(path, O_WRONLY | O_TRUNC);
    if (fd < 0 || write(fd, line, strlen(line)) < 0)
        die(path);
    close(fd);
    return now_us() - start;
}

static double append_sync(int fd)
{
    char record[64] = "record";
    double start = now_us();
    if (write(fd, record, sizeof(record)) < 0 || fdatasync(fd))
        die("fdatasync");
    return now_us() - start;
}

/* Writes a request and reads the id back. */
static unsigned long create(const char *path, const char *line)
{
    char id[32];
    int fd = open(path, O_RDWR);
    if (fd < 0 || write(fd, line, strlen(line)) < 0)
        die(line);
    ssize_t n = read(fd, id, sizeof(id) - 1);
    close(fd);
    if (n < 2)
        die("id");
    id[n] = '\0';
    return strtoul(id + 1, NULL, 10);
}

static void release(const struct bench *bench, unsigned long id)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/partitions/p%lu", bench->root, id);
    if (unlink(path))
        die(path);
}

static void release_all(const struct bench *bench)
{
    char path[600];
    snprintf(path, sizeof(path), "cd %s/partitions && find . -type l -delete", bench->root);
    if (system(path))
        die("find -delete");
}

/* -- the benchmarks ------------------------------------------------------------------ */

static void bench_read(const struct bench *bench)
{
    static double null_us[ROUNDS], real_us[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        null_us[i] = open_read_close(bench->null_file);
        real_us[i] = open_read_close(bench->remaining);
    }
    double base = median(null_us, ROUNDS), real = median(real_us, ROUNDS);
    printf("open+read+close of remaining: %.1f us, null %.1f us: %.2f x (aim 1.25)\n", real, base,
           real / base);
}

static void bench_create(const struct bench *bench)
{
    enum { N = 1000 };
    static double null_us[N], sync_us[N], real_us[N];
    char new_file[600];
    snprintf(new_file, sizeof(new_file), "%s/gpu0/new", bench->root);
    int fd = open(bench->sync_file, O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (int i = 0; i < N; i++) {
        null_us[i] = open_write_close(bench->null_file, "1M 3600\n");
        sync_us[i] = append_sync(fd);
        real_us[i] = open_write_close(new_file, "1M 3600\n");
    }
    close(fd);
    release_all(bench);
    double base = median(null_us, N) + median(sync_us, N), real = median(real_us, N);
    printf("durable create: %.0f us, null write %.0f us + one sync %.0f us: %.2f x (aim 1.5)\n",
           real, median(null_us, N), median(sync_us, N), real / base);
}

/* Booking and giving back on a file that is open, against a write on such a file. */
static void bench_charge(const struct bench *bench)
{
    static double null_us[ROUNDS], real_us[ROUNDS];
    char path[600];
    snprintf(path, sizeof(path), "%s", bench->remaining);
    snprintf(strrchr(path, '/'), sizeof("/charge"), "/charge");
    int null_fd = open(bench->null_file, O_WRONLY), fd = open(path, O_WRONLY);
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_us();
        if (write(null_fd, "+4096\n", 6) < 0 || write(null_fd, "-4096\n", 6) < 0)
            die(bench->null_file);
        double middle = now_us();
        if (write(fd, "+4096\n", 6) < 0 || write(fd, "-4096\n", 6) < 0)
            die(path);
        null_us[i] = middle - start;
        real_us[i] = now_us() - middle;
    }
    close(null_fd);
    close(fd);
    double base = median(null_us, ROUNDS), real = median(real_us, ROUNDS);
    printf("charge + give back: %.1f us, two null writes %.1f us: %.2f x (aim 1.25)\n", real, base,
           real / base);
}

struct writer {
    const struct bench *bench;
    int device, count;
};

static void *writer_main(void *argument)
{
    const struct writer *writer = argument;
    char path[600];
    snprintf(path, sizeof(path), "%s/gpu%d/new", writer->bench->root, writer->device);
    int fd = open(path, O_WRONLY);
    for (int i = 0; i < writer->count; i++)
        if (write(fd, "1M 3600\n", 8) < 0)
            die(path);
    close(fd);
    return NULL;
}

static void bench_writers(const struct bench *bench)
{
    enum { EACH = 200 };
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    int fd = open(bench->sync_file, O_WRONLY | O_APPEND);
    double start = now_us();
    for (int i = 0; i < 1000; i++)
        append_sync(fd);
    double sync_rate = 1000 / ((now_us() - start) / 1e6);
    close(fd);
    start = now_us();
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){bench, i % DEVICES, EACH};
        pthread_create(&threads[i], NULL, writer_main, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    double rate = WRITERS * EACH / ((now_us() - start) / 1e6);
    release_all(bench);
    printf("16 writers over 8 devices: %.0f creates/s, one sync each would allow %.0f/s: %.2f x "
           "(aim 3)\n",
           rate, sync_rate, rate / sync_rate);
}

static long worker_rss_kib(const struct bench *bench)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", bench->worker_pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, "RssAnon:", 8))
            kib = strtol(line + 8, NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

static void fill(const struct bench *bench, int live)
{
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){bench, i % DEVICES, live / WRITERS};
        pthread_create(&threads[i], NULL, writer_main, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
}

static double create_us(const struct bench *bench)
{
    enum { N = 500 };
    static double us[N];
    char path[600];
    snprintf(path, sizeof(path), "%s/gpu0/new", bench->root);
    for (int i = 0; i < N; i++) {
        double start = now_us();
        unsigned long id = create(path, "1M 3600\n");
        us[i] = now_us() - start;
        release(bench, id);
    }
    return median(us, N);
}

static void bench_scale(const struct bench *bench)
{
    enum { LIVE = 100000 };
    fill(bench, 112);
    double few = create_us(bench);
    long before = worker_rss_kib(bench);
    fill(bench, LIVE);
    sync(); /* what was written meanwhile is the disk's business, not this one's */
    sleep(1);
    long after = worker_rss_kib(bench);
    double many = create_us(bench);
    printf("create at %d live partitions: %.0f us, at 112: %.0f us: %.2f x (aim 1.5)\n", LIVE, many,
           few, many / few);
    printf("memory per live partition: %.0f bytes (aim 1024)\n",
           (double)(after - before) * 1024.0 / LIVE);
    double start = now_us();
    release_all(bench);
    printf("find -delete of %d partitions: %.1f s\n", LIVE, (now_us() - start) / 1e6);
}

static double process_us(char *const argv[])
{
    double start = now_us();
    pid_t pid = fork();
    if (!pid) {
        int null_fd = open("/dev/null", O_WRONLY);
        dup2(null_fd, 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    int status;
    waitpid(pid, &status, 0);
    if (status)
        die(argv[0]);
    return now_us() - start;
}

static void bench_command(const struct bench *bench)
{
    enum { N = 200 };
    static double cat_us[N], create_us_[N], sync_us[N];
    char *cat[] = {(char[]){"cat"}, (char *)(uintptr_t)bench->null_file, NULL};
    char *make[] = {(char *)(uintptr_t)bench->chronos,
                    (char[]){"--mount"},
                    (char *)(uintptr_t)bench->root,
                    (char[]){"create"},
                    (char[]){"0"},
                    (char[]){"1M"},
                    (char[]){"3600"},
                    NULL};
    int fd = open(bench->sync_file, O_WRONLY | O_APPEND);
    for (int i = 0; i < N; i++) {
        cat_us[i] = process_us(cat);
        create_us_[i] = process_us(make);
        sync_us[i] = append_sync(fd);
    }
    close(fd);
    release_all(bench);
    double base = median(cat_us, N), real = median(create_us_, N);
    printf("chronos create as a process: %.0f us, cat of a null file %.0f us: %.2f x (aim 3; one "
           "sync is %.0f us of it)\n",
           real, base, real / base, median(sync_us, N));
}

int main(int argc, char **argv)
{
    struct bench bench = {.null_file = ""};
    if (argc != 6) {
        fprintf(stderr, "usage: bench NULLMOUNT CHRONOSMOUNT STATEDIR WORKERPID CHRONOS\n");
        return 2;
    }
    snprintf(bench.null_file, sizeof(bench.null_file), "%s/null", argv[1]);
    snprintf(bench.root, sizeof(bench.root), "%s", argv[2]);
    snprintf(bench.sync_file, sizeof(bench.sync_file), "%s/bench-sync", argv[3]);
    bench.worker_pid = atoi(argv[4]);
    bench.chronos = argv[5];
    char path[600];
    snprintf(path, sizeof(path), "%s/gpu0/new", bench.root);
    unsigned long id = create(path, "1M 3600\n");
    snprintf(bench.remaining, sizeof(bench.remaining), "%s/gpu0/p%lu/remaining", bench.root, id);
    bench_read(&bench);
    bench_charge(&bench);
    bench_create(&bench);
    bench_writers(&bench);
    bench_command(&bench);
    bench_scale(&bench);
    unlink(bench.sync_file);
    return 0;
}
