/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the checkpoint port, for the one that asks a driver process (over a driver of our
 * own) and for the one in memory: what each call does, and what it fails with.
 */
#include "usage_help.h"

#include "core/base/clock.h"
#include "core/gpu/checkpoint_fake.h"
#include "core/gpu/driver.h"
#include "tests/fake_cuda/fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UUID "GPU-aaaaaaaa-0000-1111-2222-333333333333"
#define GIB  (UINT64_C(1) << 30)
#define MOST 4

static bool in_memory;
static struct checkpoint_fake_device fake;
static struct checkpoint *checkpoint;
static const struct checkpoint_answer *answer;
static int32_t pids[MOST];
static uint32_t count;

/* -- processes --------------------------------------------------------------------------- */

static const char *state_path(const char *name)
{
    static char path[600];
    snprintf(path, sizeof(path), "%s/%s", help_path("cuda"), name);
    return path;
}

/* A process that waits, with so much on the device. */
static int32_t begin(uint64_t bytes)
{
    struct told told = {.bytes = {bytes}};
    char name[16];
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    snprintf(name, sizeof(name), "%d", (int)pid);
    int file = open(state_path(name), O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(write(file, &told, sizeof(told)), sizeof(told));
    close(file);
    fake.process[fake.count++] = (struct checkpoint_fake_process){.pid = pid, .bytes = bytes};
    pids[count++] = pid;
    return pid;
}

/* The driver does so with each call of this name. */
static void rule(const char *text)
{
    FILE *file = fopen(state_path("rules"), "w");
    fputs(text, file);
    fclose(file);
}

static void others(uint64_t bytes)
{
    char text[600];
    fake.others_bytes = bytes;
    snprintf(text, sizeof(text), "device " UUID " 00000000:3b:00.0 %llu %llu\ncuda %s\nsums\n",
             (unsigned long long)bytes, (unsigned long long)(16 * GIB), help_path("cuda"));
    help_tell(text);
}

static void setup(void)
{
    const struct gpu_device device = {.uuid = UUID};
    help_begin();
    mkdir(help_path("cuda"), 0700);
    setenv("LD_LIBRARY_PATH", USAGE_FAKE_NVML ":" USAGE_FAKE_CUDA, 1);
    setenv("CHRONOS_FAKE_CUDA", UUID "=17179869184", 1);
    setenv("CHRONOS_FAKE_CUDA_STATE", help_path("cuda"), 1);
    fake = (struct checkpoint_fake_device){.total_bytes = 16 * GIB, .host_bytes = 64 * GIB};
    count = 0;
    others(0);
    const struct checkpoint_options options = {.device = &device, .program = help_program};
    ck_assert_int_eq(in_memory ? checkpoint_fake_new(&fake, &checkpoint)
                               : checkpoint_new(&options, &checkpoint),
                     0);
}

static void teardown(void)
{
    checkpoint = checkpoint_free(checkpoint);
    while (count > 0) {
        kill(pids[--count], SIGKILL);
        waitpid(pids[count], NULL, 0);
    }
    help_end();
}

static int call_for(enum checkpoint_call call, int limit_ms)
{
    int r;
    ck_assert_int_eq(checkpoint_ask(checkpoint, call, pids, count, limit_ms), 0);
    ck_assert_int_eq(checkpoint_ask(checkpoint, call, pids, count, limit_ms), -EINVAL);
    ck_assert_int_ge(checkpoint_fd(checkpoint), 0);
    while ((r = checkpoint_take(checkpoint, &answer)) == -EAGAIN) {
        struct pollfd fd = {.fd = checkpoint_fd(checkpoint), .events = POLLIN};
        int64_t left_ns = checkpoint_due_ns(checkpoint) - clock_monotonic_ns();
        poll(&fd, 1, left_ns > 0 ? (int)(left_ns / NS_PER_MS) + 1 : 0);
        if (in_memory)
            usleep(1000);
    }
    ck_assert_int_eq(checkpoint_fd(checkpoint), -1);
    ck_assert_int_eq(checkpoint_due_ns(checkpoint), INT64_MAX);
    return r;
}

static void call(enum checkpoint_call which)
{
    ck_assert_int_eq(call_for(which, 60000), 0);
    ck_assert_uint_eq(answer->count, count);
}

static void results(int32_t result)
{
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(answer->process[i].pid, pids[i]);
        ck_assert_int_eq(answer->process[i].result, result);
    }
}

static void states(uint32_t state)
{
    call(CHECKPOINT_LOOK);
    ck_assert_int_eq(answer->result, 0);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_uint_eq(answer->process[i].state, state);
}

static void done(enum checkpoint_call which, uint32_t state)
{
    call(which);
    results(CHECKPOINT_DONE);
    states(state);
}

/* -- tests ------------------------------------------------------------------------------------ */

START_TEST(out_and_back)
{
    begin(GIB);
    begin(2 * GIB);
    states(CHECKPOINT_RUNNING);
    ck_assert_uint_eq(answer->known, 1);
    ck_assert_uint_eq(answer->split, 0);
    ck_assert_uint_eq(answer->process[1].bytes, 2 * GIB);
    ck_assert_uint_eq(answer->free_bytes, 13 * GIB);
    ck_assert_uint_gt(answer->host_bytes, 0);
    call(CHECKPOINT_SAVE); /* not locked */
    results(CHECKPOINT_ILLEGAL_STATE);
    call(CHECKPOINT_UNLOCK);
    results(CHECKPOINT_ILLEGAL_STATE);
    done(CHECKPOINT_LOCK, CHECKPOINT_LOCKED);
    call(CHECKPOINT_LOCK);
    results(CHECKPOINT_ILLEGAL_STATE);
    done(CHECKPOINT_UNLOCK, CHECKPOINT_RUNNING);
    done(CHECKPOINT_LOCK, CHECKPOINT_LOCKED);
    done(CHECKPOINT_SAVE, CHECKPOINT_SAVED);
    ck_assert_uint_eq(answer->process[1].bytes, 0);
    ck_assert_uint_eq(answer->free_bytes, 16 * GIB);
    call(CHECKPOINT_UNLOCK);
    results(CHECKPOINT_ILLEGAL_STATE);
    call(CHECKPOINT_FIGURES);
    ck_assert_uint_eq(answer->process[0].state, CHECKPOINT_NONE); /* was not asked */
    ck_assert_uint_eq(answer->free_bytes, 16 * GIB);
    done(CHECKPOINT_RESTORE, CHECKPOINT_LOCKED);
    done(CHECKPOINT_UNLOCK, CHECKPOINT_RUNNING);
    ck_assert_uint_eq(answer->process[1].bytes, 2 * GIB);
}
END_TEST

START_TEST(no_room)
{
    int32_t pid = begin(2 * GIB);
    done(CHECKPOINT_LOCK, CHECKPOINT_LOCKED);
    done(CHECKPOINT_SAVE, CHECKPOINT_SAVED);
    fake.others_bytes = 15 * GIB; /* the driver counts what it gave to processes */
    begin(15 * GIB);
    fake.count--;
    pids[0] = pid;
    count = 1;
    call(CHECKPOINT_LOOK);
    ck_assert_uint_eq(answer->free_bytes, GIB);
    call(CHECKPOINT_RESTORE);
    results(CHECKPOINT_NO_MEMORY);
    call(CHECKPOINT_RESTORE);
    results(304); /* at every later try */
    call(CHECKPOINT_UNLOCK);
    results(CHECKPOINT_ILLEGAL_STATE);
    count = 2;
}
END_TEST

START_TEST(not_cuda)
{
    pids[count++] = fork();
    if (pids[0] == 0)
        for (;;)
            pause();
    call(CHECKPOINT_LOOK);
    ck_assert_uint_eq(answer->process[0].state, CHECKPOINT_NONE);
    ck_assert_int_ne(answer->process[0].result, 0);
    call(CHECKPOINT_LOCK);
    ck_assert_int_ne(answer->process[0].result, 0);
    count = 0;
    call(CHECKPOINT_LOOK); /* of none */
    ck_assert_uint_eq(answer->known, 1);
    count = 1;
}
END_TEST

START_TEST(fails_and_hangs)
{
    begin(GIB);
    rule("lock fail 600\n");
    fake.fails[CHECKPOINT_LOCK] = 600;
    call(CHECKPOINT_LOCK);
    results(CHECKPOINT_NOT_READY);
    rule("lock hang 0\n");
    fake.fails[CHECKPOINT_LOCK] = 0;
    fake.hangs[CHECKPOINT_LOCK] = true;
    ck_assert_int_eq(call_for(CHECKPOINT_LOCK, 2000), -ETIMEDOUT);
    rule("");
    fake.hangs[CHECKPOINT_LOCK] = false;
    done(CHECKPOINT_LOCK, CHECKPOINT_LOCKED); /* by another process */
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--driver") == 0)
        return driver_process(argv[2], gpu_vendors);
    if (!realpath(argv[0], help_program))
        return 1;
    in_memory = argc == 2 && strcmp(argv[1], "fake") == 0;
    return check_main("checkpoint", setup, teardown, out_and_back, no_room, not_cuda,
                      fails_and_hangs);
}
