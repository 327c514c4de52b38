/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the usage reader's process: when it starts, sleeps and ends, what it inherits and
 * leaves behind.
 */
#include "usage_help.h"

#include "core/gpu/driver.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool readable(const struct usage_reader *reader, int ms)
{
    struct pollfd fd = {.fd = usage_reader_fd(reader), .events = POLLIN};
    return poll(&fd, 1, ms) == 1;
}

START_TEST(asks_once)
{
    const struct gpu_usage *usage;
    help_tell("device GPU-a - 1\nslow memory 50\n");
    struct usage_reader *reader = help_reader("GPU-a -", NULL);
    ck_assert(!readable(reader, 0));
    ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN);
    ck_assert_int_eq(help_child(getpid()), 0); /* and nothing was started */
    usage_reader_ask(reader);
    usage_reader_ask(reader);
    ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN);
    help_wait(reader);
    ck_assert(!readable(reader, 0));
    ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN);
    help_ask(reader);
    usage_reader_ask(reader);
    usage_reader_free(reader); /* while a question is under way */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

static int count_files(pid_t pid)
{
    char path[64];
    int count = -2; /* . and .. */
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    ck_assert_ptr_nonnull(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

START_TEST(leaves_nothing)
{
    int before = count_files(getpid());
    for (int i = 0; i < 5; i++) {
        struct usage_options options = help_options();
        options.idle_ms = i == 3 ? 1 : 0;
        help_tell("device GPU-a - 1\n");
        struct usage_reader *reader = help_reader("GPU-a -", &options);
        for (int j = 0; j < i; j++)
            help_ask(reader);
        ck_assert_ptr_null(usage_reader_free(reader));
        ck_assert_int_eq(count_files(getpid()), before);
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    }
    ck_assert_ptr_null(usage_reader_free(NULL));
}
END_TEST

static void ours(int number)
{
    (void)number;
}

/* The process inherits no file, signal or terminal. */
START_TEST(gets_nothing_of_ours)
{
    sigset_t mask, old;
    int copies[20];
    help_tell("device GPU-a - 1\n");
    for (int i = 0; i < 20; i++)
        copies[i] = dup(1); /* kept over exec */
    signal(SIGUSR1, ours);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_BLOCK, &mask, &old);
    struct usage_reader *reader = help_reader("GPU-a -", NULL);
    help_ask(reader);
    pid_t child = help_child(getpid());
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(count_files(child), 4);
    ck_assert_str_eq(help_status(child, "Name"), "chronos-driver");
    ck_assert_str_eq(help_status(child, "SigBlk"), "0000000000000000");
    ck_assert_uint_eq(strtoull(help_status(child, "SigIgn"), NULL, 16) & 1u << (SIGUSR2 - 1), 0);
    ck_assert_int_eq(getpgid(child), child);
    usage_reader_free(reader);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
    for (int i = 0; i < 20; i++)
        close(copies[i]);
}
END_TEST

/* Neither the daemon nor the process wakes up between questions. */
START_TEST(sleeps)
{
    help_tell("device GPU-a - 1\n");
    struct usage_reader *reader = help_reader("GPU-a -", NULL);
    help_ask(reader);
    pid_t child = help_child(getpid());
    bool slept = false; /* first it may still have to get to its wait */
    for (int i = 0; i < 20 && !slept; i++) {
        long before = strtol(help_status(child, "voluntary_ctxt_switches"), NULL, 10);
        ck_assert(!readable(reader, 500));
        long after = strtol(help_status(child, "voluntary_ctxt_switches"), NULL, 10);
        slept = after > 0 && after == before;
    }
    ck_assert(slept);
    ck_assert_int_eq(help_child(getpid()), child);
    usage_reader_free(reader);
}
END_TEST

/* An idle process ends; its end is noticed, is no failure, and the next question starts a new
 * one. */
START_TEST(ends_when_idle)
{
    const struct gpu_usage *usage;
    struct usage_options options = help_options();
    int before = count_files(getpid());
    options.idle_ms = 50;
    help_tell("device GPU-a - 1\n");
    struct usage_reader *reader = help_reader("GPU-a -", &options);
    ck_assert(help_ask(reader)->device[0].known);
    pid_t first = help_child(getpid());
    ck_assert(readable(reader, 60000));
    ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN);
    ck_assert(!readable(reader, 0));
    ck_assert_int_eq(help_child(getpid()), 0); /* not even a zombie */
    usage = help_ask(reader);
    ck_assert(usage->device[0].known);
    ck_assert_str_eq(usage->device[0].note, "");
    ck_assert_int_ne(help_child(getpid()), first);
    /* It ended unnoticed before the next question. */
    help_dies(help_child(getpid()));
    ck_assert(help_ask(reader)->device[0].known);
    /* A kill while it slept: not the driver's fault either. */
    first = help_child(getpid());
    kill(first, SIGKILL);
    help_dies(first);
    ck_assert(help_ask(reader)->device[0].known);
    help_dies(help_child(getpid()));
    ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN);
    reader = usage_reader_free(reader); /* without a process */
    ck_assert_int_eq(count_files(getpid()), before);
    usage_reader_free(reader);
}
END_TEST

START_TEST(ends_with_its_asker)
{
    help_tell("device GPU-a - 1\nhang memory\n");
    pid_t asker = fork();
    if (asker == 0) {
        usage_reader_ask(help_reader("GPU-a -", NULL));
        for (;;)
            pause();
    }
    pid_t child = 0;
    for (int i = 0; i < 6000 && strcmp(help_status(child, "Name"), "chronos-driver") != 0; i++) {
        help_pause(10);
        child = help_child(asker);
    }
    ck_assert_int_gt(child, 0);
    kill(asker, SIGKILL);
    waitpid(asker, NULL, 0);
    help_dies(child);
}
END_TEST

static volatile bool stop_noise;

static void *make_noise(void *unused)
{
    while (!stop_noise)
        free(malloc(1000));
    return unused;
}

/* Start again and again while other threads take locks of the C library. */
START_TEST(starts_among_threads)
{
    struct usage_options options = help_options();
    pthread_t threads[3];
    options.idle_ms = 1;
    help_tell("device GPU-a - 1\n");
    stop_noise = false;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, make_noise, NULL), 0);
    struct usage_reader *reader = help_reader("GPU-a -", &options);
    for (int i = 0; i < 20; i++) {
        ck_assert(help_ask(reader)->device[0].known);
        help_dies(help_child(getpid()));
    }
    stop_noise = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    usage_reader_free(reader);
}
END_TEST

START_TEST(bad_arguments)
{
    struct usage_reader *reader = NULL;
    static struct gpu_device many[GPU_DEVICE_MAX + 1];
    char text[5000];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    ck_assert_int_eq(usage_reader_new(many, GPU_DEVICE_MAX + 1, NULL, &reader), -EINVAL);
    struct usage_options options[] = {{.program = text}, {.proc = text}, {.sys = text}};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        ck_assert_int_eq(usage_reader_new(many, 1, &options[i], &reader), -EINVAL);
    ck_assert_ptr_null(reader);
    ck_assert_int_eq(driver_process("nonsense", gpu_vendors), 2);
    ck_assert_int_eq(driver_process("", gpu_vendors), 2);
    ck_assert_int_eq(driver_process("1", gpu_vendors), 2);
    ck_assert_int_eq(driver_process("-3", gpu_vendors), 2);
    ck_assert_int_eq(driver_process("900", gpu_vendors), 2);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--driver") == 0)
        _exit(driver_process(argv[2], gpu_vendors));
    if (!realpath(argv[0], help_program))
        return 1;
    return check_main("usage-life", help_begin, help_end, asks_once, leaves_nothing, sleeps,
                      gets_nothing_of_ours, ends_when_idle, ends_with_its_asker, bad_arguments,
                      starts_among_threads);
}
