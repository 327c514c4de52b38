/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes ask for the same thing at the same moment, again and again.
 * usage: race FILE REQUEST PROCESSES ROUNDS PARTITIONS
 * Exactly one must get it each round; it is released (in the directory PARTITIONS)
 * before the next. Prints how often it was otherwise; exits 1 if it ever was.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 256

struct board {
    pthread_barrier_t go, done;
    int result[PROCESSES_MAX]; /* 0 granted, else the errno */
    char id[PROCESSES_MAX][32];
};

static struct board *board_new(unsigned processes)
{
    struct board *board =
        mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    if (board == MAP_FAILED || pthread_barrier_init(&board->go, &shared, processes + 1) ||
        pthread_barrier_init(&board->done, &shared, processes + 1)) {
        perror("race");
        exit(2);
    }
    return board;
}

static _Noreturn void ask(struct board *board, int self, const char *file, const char *line,
                          int rounds)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_wait(&board->go);
        ssize_t n = write(fd, line, strlen(line));
        board->result[self] = n < 0 ? errno : 0;
        if (n > 0) {
            ssize_t length = read(fd, board->id[self], sizeof(board->id[self]) - 1);
            board->id[self][length > 0 ? length - 1 : 0] = '\0';
        }
        pthread_barrier_wait(&board->done);
    }
    _exit(0);
}

/* 0 when exactly one got it and all others were refused for lack of room. */
static int judge(struct board *board, int processes, const char *partitions)
{
    int granted = 0, strange = 0;
    char path[4200];
    for (int i = 0; i < processes; i++) {
        if (board->result[i] && board->result[i] != ENOSPC) {
            printf("process %d: %s\n", i, strerror(board->result[i]));
            strange++;
        }
        if (board->result[i])
            continue;
        granted++;
        snprintf(path, sizeof(path), "%s/%s", partitions, board->id[i]);
        if (unlink(path)) {
            printf("%s: %s\n", path, strerror(errno));
            strange++;
        }
    }
    if (granted != 1)
        printf("%d were granted\n", granted);
    return granted != 1 || strange;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int processes = atoi(argv[3]), rounds = atoi(argv[4]), bad = 0;
    char line[256];
    if (processes < 1 || processes > PROCESSES_MAX)
        return 2;
    snprintf(line, sizeof(line), "%s\n", argv[2]);
    struct board *board = board_new((unsigned)processes);
    for (int i = 0; i < processes; i++)
        if (fork() == 0)
            ask(board, i, argv[1], line, rounds);
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_wait(&board->go);
        pthread_barrier_wait(&board->done);
        bad += judge(board, processes, argv[5]);
    }
    while (wait(NULL) > 0)
        ;
    printf("%d processes, %d rounds: %d not as it must be\n", processes, rounds, bad);
    return bad ? 1 : 0;
}
