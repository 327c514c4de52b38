/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a client of `charge`. Executes the lines of its standard input and prints one
 * line for each. First argument: the partition's directory; second: "allow" or "refuse".
 *
 *   book N             0 or the refusal's number
 *   back N             gives back bytes of this process
 *   parents N          gives back bytes of its parent
 *   fork, clone        a child executes the lines until `exit`; clone bypasses the C library
 *   exec               replaces itself by the same program
 *   close              closes every descriptor it has, as daemons do
 *   reuse FILE         opens FILE for writing with the number of the descriptor
 *   busy               starts threads that book, give back and fork
 *   still              ends them
 *   exit
 */
#include "tools/libchronos/client.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3

static struct chronos_charge *charge;
static pid_t owner;
static atomic_int busy;
static pthread_t thread[THREADS];

static void *work(void *unused)
{
    while (busy) {
        pid_t by;
        if (chronos_charge_book(charge, 1, &by) == 0)
            chronos_charge_give_back(charge, 1, by);
    }
    return unused;
}

static void begin_work(void)
{
    busy = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, work, NULL);
}

static void end_work(void)
{
    busy = 0;
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

/* The number of the client's descriptor, to take it over. */
static void reuse(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666), taken = -1;
    for (int other = 3; other < 64; other++) {
        char path[64], target[512];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", other);
        ssize_t length = readlink(path, target, sizeof(target) - 1);
        if (length < 7 || strncmp(target + length - 7, "/charge", 7) != 0)
            continue;
        taken = dup2(fd, other);
    }
    printf("%d\n", fd >= 0 && taken >= 0 ? 0 : -1);
}

static void split(bool known)
{
    fflush(stdout);
    pid_t pid = known ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid > 0) {
        waitpid(pid, NULL, 0);
        printf("back\n");
    } else {
        printf("child\n");
    }
}

static void obey(char **arguments, const char *word, const char *argument)
{
    unsigned long long bytes = strtoull(argument, NULL, 10);
    if (strcmp(word, "book") == 0) {
        printf("%d\n", chronos_charge_book(charge, bytes, &owner));
    } else if (strcmp(word, "back") == 0) {
        chronos_charge_give_back(charge, bytes, owner);
        printf("0\n");
    } else if (strcmp(word, "parents") == 0) {
        chronos_charge_give_back(charge, bytes, getppid());
        printf("0\n");
    } else if (strcmp(word, "fork") == 0 || strcmp(word, "clone") == 0) {
        split(word[0] == 'f');
    } else if (strcmp(word, "exec") == 0) {
        execv("/proc/self/exe", arguments);
    } else if (strcmp(word, "close") == 0) {
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        printf("0\n");
    } else if (strcmp(word, "reuse") == 0) {
        reuse(argument);
    } else if (strcmp(word, "busy") == 0) {
        begin_work();
        printf("0\n");
    } else if (strcmp(word, "still") == 0) {
        end_work();
        printf("0\n");
    } else if (strcmp(word, "exit") == 0) {
        fflush(stdout);
        _exit(0);
    } else {
        printf("what?\n");
    }
}

int main(int count, char **arguments)
{
    char line[512], word[32], argument[256];
    if (count != 3 ||
        chronos_charge_new(arguments[1], strcmp(arguments[2], "allow") == 0, &charge) < 0)
        return 2;
    setvbuf(stdin, NULL, _IONBF, 0);
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        argument[0] = '\0';
        if (sscanf(line, "%31s %255s", word, argument) < 1)
            continue;
        obey(arguments, word, argument);
        fflush(stdout);
    }
    chronos_charge_free(charge);
    return 0;
}
