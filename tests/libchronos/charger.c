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
 *   alarms N           books and gives back until a signal handler has forked N times, and each
 * child has ended the call, and made one more plain N            the same with children that end in
 * the handler, as beside threads streams            books and reads with the standard streams
 * closed: how many are open then busy               starts threads that book, give back and fork
 *   still              ends them
 *   exit
 */
#include "tools/libchronos/client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
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

/* -- forks in a signal handler ----------------------------------------------------- */

static volatile sig_atomic_t handled, failed, is_child, goes_on;

static void fork_now(int number)
{
    int status = -1, saved = errno;
    pid_t pid = fork();
    (void)number;
    if (pid == 0 && !goes_on)
        _exit(0);
    is_child = pid == 0;
    if (pid > 0)
        failed |= waitpid(pid, &status, 0) != pid || status != 0;
    handled++;
    errno = saved;
}

static bool book_and_back(void)
{
    pid_t by;
    bool booked = chronos_charge_book(charge, 1, &by) == 0;
    if (booked)
        chronos_charge_give_back(charge, 1, by);
    return booked && by == getpid();
}

static void alarms(int count, bool and_go_on)
{
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = fork_now};
    bool good = true;
    goes_on = and_go_on;
    handled = failed = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (handled < count && !is_child)
        good = book_and_back() && good;
    if (is_child)
        _exit(!book_and_back());
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_IGN);
    printf("%d\n", good && !failed ? 0 : -1);
}

/* -- descriptors -------------------------------------------------------------------- */

static void close_streams(const char *directory)
{
    static struct chronos_memory memory;
    uint64_t limit, used;
    int kept[3], open = 0;
    for (int fd = 0; fd < 3; fd++) {
        kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        close(fd);
    }
    bool good = chronos_charge_book(charge, 1, &owner) == 0 &&
                chronos_memory_read(&memory, directory, &limit, &used) == 0;
    for (int fd = 0; fd < 3; fd++) {
        open += fcntl(fd, F_GETFD) >= 0;
        dup2(kept[fd], fd);
        close(kept[fd]);
    }
    printf("%d\n", good ? open : -1);
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
    } else if (strcmp(word, "alarms") == 0 || strcmp(word, "plain") == 0) {
        alarms((int)bytes, word[0] == 'a');
    } else if (strcmp(word, "streams") == 0) {
        close_streams(arguments[1]);
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
