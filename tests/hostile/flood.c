/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user with too many requests, and another one that measures how long its `cat` takes:
 *
 *   flood UID KIND THREADS TREE   ask until standard input ends; prints "ready" first, and
 *                                 in the end how many us each request has waited
 *   flood UID probe SECONDS FILE  prints the median, the 99th percentile and the maximum in us, the
 *                                 number of reads, and the number of errors
 *
 * KIND: garbage (refused requests), read (`available`), write (64 KiB each to a file of its own;
 * asks for a partition for each thread first), schedule (one byte of `schedule`), stat (a user's
 * list of partitions), list (a directory of partitions).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (64u << 10)
#define WRITE_BYTES (64u << 10)

static const char *tree;
static int shared_fd = -1;
static unsigned long errors;
static atomic_ulong answered;
static char block[WRITE_BYTES];

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int open_file(const char *name, int flags)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", tree, name);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        die(path);
    return fd;
}

static void *garbage(void *unused)
{
    (void)unused;
    for (;; answered++)
        if (pwrite(shared_fd, "no number\n", 10, 0) > 0)
            abort();
    return NULL;
}

static void *read_one(void *unused)
{
    char byte;
    (void)unused;
    for (;; answered++)
        if (pread(shared_fd, &byte, 1, 0) < 0 && errno == EIO)
            abort();
    return NULL;
}

static void *write_block(void *fd)
{
    for (;; answered++)
        if (pwrite((int)(intptr_t)fd, block, sizeof(block), 0) > 0)
            abort();
    return NULL;
}

static void *stat_one(void *unused)
{
    struct stat st;
    (void)unused;
    for (;; answered++)
        fstat(shared_fd, &st);
    return NULL;
}

static void *list(void *unused)
{
    char path[512];
    (void)unused;
    snprintf(path, sizeof(path), "%s/partitions", tree);
    for (;; answered++) {
        DIR *dir = opendir(path);
        while (dir && readdir(dir))
            ;
        if (dir)
            closedir(dir);
    }
    return NULL;
}

/* Ask for a partition and open one of its files. */
static void *own_file(void)
{
    char id[32], name[64];
    int fd = open_file("gpu1/new", O_RDWR);
    if (write(fd, "1M 3600\n", 8) != 8)
        die("new");
    ssize_t n = read(fd, id, sizeof(id) - 1);
    close(fd);
    id[n > 0 ? n - 1 : 0] = '\0';
    snprintf(name, sizeof(name), "gpu1/%s/name", id);
    return (void *)(intptr_t)open_file(name, O_WRONLY);
}

static void start(unsigned count, void *(*work)(void *), bool own)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (unsigned i = 0; i < count; i++) {
        pthread_t thread;
        errno = pthread_create(&thread, &attributes, work, own ? own_file() : NULL);
        if (errno)
            die("a thread");
    }
}

static void flood(const char *kind, unsigned threads, unsigned uid)
{
    char name[64];
    if (nice(19) == -1 && errno) /* do not make the other user wait for the processor instead */
        die("nice");
    memset(block, 'x', sizeof(block));
    if (!strcmp(kind, "garbage")) {
        shared_fd = open_file("gpu0/new", O_WRONLY);
        start(threads, garbage, false);
    } else if (!strcmp(kind, "read")) {
        shared_fd = open_file("gpu0/available", O_RDONLY);
        start(threads, read_one, false);
    } else if (!strcmp(kind, "schedule")) {
        shared_fd = open_file("gpu0/schedule", O_RDONLY);
        start(threads, read_one, false);
    } else if (!strcmp(kind, "stat")) {
        snprintf(name, sizeof(name), "users/%u/partitions", uid);
        shared_fd = open_file(name, O_RDONLY);
        start(threads, stat_one, false);
    } else if (!strcmp(kind, "list")) {
        start(threads, list, false);
    } else if (!strcmp(kind, "write")) {
        start(threads, write_block, true);
    } else {
        fprintf(stderr, "flood: no kind %s\n", kind);
        exit(2);
    }
    printf("ready\n");
    fflush(stdout);
    unsigned long before = answered;
    double start_us = now_us();
    while (read(STDIN_FILENO, block, 1) > 0)
        ;
    double passed_us = now_us() - start_us;
    unsigned long count = answered - before;
    printf("%.1f\n", passed_us * (double)threads / (double)(count ? count : 1));
    fflush(stdout);
    _exit(0);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void cat(const char *path)
{
    char text[4096];
    int fd = open(path, O_RDONLY);
    ssize_t n;
    while ((n = read(fd, text, sizeof(text))) > 0)
        ;
    errors += fd < 0 || n < 0;
    close(fd);
}

static void probe(double seconds, const char *path)
{
    enum { MOST = 1 << 20 };
    double *took = malloc(MOST * sizeof(*took)), end = now_us() + seconds * 1e6;
    size_t count = 0;
    while (took && count < MOST && (count < 5 || now_us() < end)) {
        double before = now_us();
        cat(path);
        took[count++] = now_us() - before;
    }
    if (!took)
        die("memory");
    qsort(took, count, sizeof(*took), compare);
    printf("%.1f %.1f %.1f %zu %lu\n", took[count / 2], took[count * 99 / 100], took[count - 1],
           count, errors);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: flood UID KIND THREADS TREE | flood UID probe SECONDS FILE\n");
        return 2;
    }
    unsigned uid = (unsigned)strtoul(argv[1], NULL, 10);
    struct rlimit files = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
        die("users");
    tree = argv[4];
    if (!strcmp(argv[2], "probe"))
        probe(strtod(argv[3], NULL), argv[4]);
    else
        flood(argv[2], (unsigned)strtoul(argv[3], NULL, 10), uid);
    return 0;
}
