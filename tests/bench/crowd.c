/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many users with partitions, and many programs in them, for tests/bench/scale:
 *
 *     crowd create MOUNT DEVICES USERS COUNT SECONDS   creates COUNT partitions
 *     crowd programs MOUNT ID...                       runs a program in each partition
 *
 * The users have uids from FIRST_UID on. Programs wait until the standard input ends.
 */
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS   16
#define FIRST_UID 200000
#define PATH_SIZE 512

struct share {
    const char *mount, *seconds;
    long devices, users, count;
    long nth; /* of THREADS */
};

static int open_for(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        measure_die(path);
    return fd;
}

/* Creates the partitions of every THREADSth user, as that user: the kernel reports a thread's
 * fsuid. */
static void *create(void *argument)
{
    const struct share *share = argument;
    char path[PATH_SIZE], request[64];
    size_t length = (size_t)snprintf(request, sizeof(request), "1M %s\n", share->seconds);
    for (long user = share->nth; user < share->users; user += THREADS) {
        syscall(SYS_setfsuid, FIRST_UID + user);
        long count = share->count / share->users + (user < share->count % share->users);
        snprintf(path, sizeof(path), "%s/gpu%ld/new", share->mount, user % share->devices);
        int fd = open_for(path);
        for (long i = 0; i < count; i++)
            if (write(fd, request, length) < 0)
                measure_die(path);
        close(fd);
    }
    return NULL;
}

static void create_all(char **words)
{
    pthread_t threads[THREADS];
    struct share shares[THREADS];
    for (long i = 0; i < THREADS; i++) {
        shares[i] = (struct share){.mount = words[0],
                                   .devices = atol(words[1]),
                                   .users = atol(words[2]),
                                   .count = atol(words[3]),
                                   .seconds = words[4],
                                   .nth = i};
        pthread_create(&threads[i], NULL, create, &shares[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Become the owner of a partition: each user may have as many programs as are left for others. */
static void become_owner(const char *mount, const char *id)
{
    struct stat st;
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/partitions/%s", mount, id);
    if (lstat(path, &st) || setresgid(st.st_uid, st.st_uid, st.st_uid) ||
        setresuid(st.st_uid, st.st_uid, st.st_uid))
        measure_die(path);
}

/* Add the calling process, as its owner, and wait until it is killed. */
static _Noreturn void be_program(const char *mount, const char *id, int told)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/partitions/%s/procs", mount, id);
    become_owner(mount, id);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool joined = fd >= 0 && write(fd, "0\n", 2) == 2;
    while (!joined && errno == ETIMEDOUT) /* on an overloaded machine */
        joined = write(fd, "0\n", 2) == 2;
    if (!joined)
        perror(path);
    if (!joined || write(told, "", 1) != 1)
        _exit(1);
    close(fd);
    close(told);
    for (;;)
        pause();
}

/* Each joins before the next one starts. Prints how many could. */
static void run_programs(const char *mount, char **ids, int count)
{
    char buffer[1];
    int joins = 0, ends[2];
    pid_t *pids = calloc((size_t)count + 1, sizeof(*pids));
    for (int i = 0; pids && i < count; i++) {
        if (pipe2(ends, O_CLOEXEC))
            measure_die("pipe");
        pids[i] = fork();
        if (!pids[i])
            be_program(mount, ids[i], ends[1]);
        close(ends[1]);
        ssize_t told = read(ends[0], buffer, 1);
        close(ends[0]);
        if (pids[i] < 0 || told != 1) /* a limit of the machine */
            break;
        joins++;
    }
    printf("%d\n", joins);
    fflush(stdout);
    while (read(0, buffer, 1) > 0)
        ;
    for (int i = 0; pids && i < joins; i++)
        kill(pids[i], SIGKILL);
    free(pids);
}

int main(int argc, char **argv)
{
    signal(SIGCHLD, SIG_IGN);
    if (argc == 7 && !strcmp(argv[1], "create")) {
        create_all(argv + 2);
    } else if (argc > 2 && !strcmp(argv[1], "programs")) {
        run_programs(argv[2], argv + 3, argc - 3);
    } else {
        fprintf(stderr, "usage: crowd create MOUNT DEVICES USERS COUNT SECONDS\n"
                        "       crowd programs MOUNT ID...\n");
        return 2;
    }
    return 0;
}
