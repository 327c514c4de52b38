/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers that hang, crash, print and talk nonsense: the caller gets a checked answer or a
 * message in time, and the answers of the other drivers all the same.
 */
#include "usage_help.h"

#include "core/gpu/driver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* A machine with a card of AMD, which works, and one of NVIDIA, which does not. */
#define DEVICES "- 0000:03:00.0,GPU-a -"
#define GOOD    "device GPU-a - 4096\nprocess 10 1048576 50\n"

static struct usage_options options;
static struct usage_reader *reader;
static const struct gpu_usage *usage;

static void begin(void)
{
    help_begin();
    help_lay_out("amd.tree");
    options = help_options();
    options.retry_ms = 60000;
}

static void end(void)
{
    reader = usage_reader_free(reader);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, dead or alive */
    ck_assert_int_eq(errno, ECHILD);
    help_end();
}

/* The working one answers, whatever the other does. */
static void check_other(void)
{
    ck_assert(usage->device[0].known);
    ck_assert_uint_eq(usage->device[0].used_bytes, 5368709120);
    ck_assert_str_eq(usage->device[0].backend, "drm");
    ck_assert_str_eq(usage->device[0].note, "");
    ck_assert_uint_eq(help_find(usage, 0, 1200)->memory_bytes, 3072 * MIB);
}

/* Asserts that the second device is unknown, with `why` in the note. */
static void check_bad(const char *why)
{
    check_other();
    ck_assert(!usage->device[1].known);
    ck_assert_str_eq(usage->device[1].backend, "nvml");
    ck_assert_msg(strstr(usage->device[1].note, why), "%s", usage->device[1].note);
    ck_assert_uint_eq(usage->process_count, 3);
}

static void check_good(void)
{
    check_other();
    ck_assert(usage->device[1].known);
    ck_assert_str_eq(usage->device[1].note, "");
    ck_assert_uint_eq(usage->device[1].used_bytes, 4096);
    ck_assert_uint_eq(help_find(usage, 1, 10)->memory_bytes, MIB);
    ck_assert_uint_eq(usage->process_count, 4);
}

static void ask_first(const char *text)
{
    help_tell(text);
    reader = help_reader(DEVICES, &options);
    usage = help_ask(reader);
}

/* -- drivers -------------------------------------------------------------------------- */

static const char *const calls[] = {"init",   "count",   "handle",   "uuid", "pci",
                                    "memory", "compute", "graphics", "mps",  "utilization"};
#define CALLS ((int)(sizeof(calls) / sizeof(calls[0])))

/* "WHAT CALL NUMBER" beside what is good. */
static const char *bad(const char *what, int call, int number)
{
    static char text[256];
    snprintf(text, sizeof(text), GOOD "%s %s %d\n", what, calls[call], number);
    return text;
}

START_TEST(hangs)
{
    options.first_ms = 20000;
    help_tell(bad("hang", _i, 0));
    reader = help_reader(DEVICES, &options);
    usage = help_ask_hanging(reader, options.first_ms);
    ck_assert_int_ge(usage->took_ns, options.first_ms * INT64_C(1000000));
    check_bad("did not answer within 20 s");
    /* It is not asked again soon: that would take as long again. */
    help_tell(GOOD);
    usage = help_ask(reader);
    check_bad("did not answer within 20 s");
}
END_TEST

/* In real time, which callers cannot skip. */
START_TEST(hangs_really)
{
    options.first_ms = 100;
    help_tell(bad("hang", 5, 0));
    reader = help_reader("GPU-a -", &options);
    usage = help_ask(reader);
    ck_assert(!usage->device[0].known);
    ck_assert_ptr_nonnull(strstr(usage->device[0].note, "did not answer within 0.1 s"));
}
END_TEST

/* It answered before. */
START_TEST(hangs_later)
{
    options.timeout_ms = 10000;
    options.retry_ms = 30000;
    ask_first(GOOD);
    check_good();
    pid_t first = help_child(getpid());
    help_tell(bad("hang", 5, 0));
    usage = help_ask_hanging(reader, options.timeout_ms);
    check_bad("did not answer within 10 s");
    help_dies(first);
    help_tell(GOOD);
    help_skip(options.retry_ms);
    usage = help_ask(reader);
    check_good();
}
END_TEST

/* It answered before, without the third device: that one has no note. */
START_TEST(hides_its_own_devices_only)
{
    help_tell(GOOD);
    reader = help_reader(DEVICES ",SIM-9 -", &options);
    usage = help_ask(reader);
    check_good();
    help_tell(bad("crash", 5, 0));
    usage = help_ask(reader);
    check_bad("crashed");
    ck_assert_str_eq(usage->device[2].note, "");
    ck_assert_str_eq(usage->device[2].backend, "none");
}
END_TEST

START_TEST(crashes)
{
    ask_first(bad("crash", _i, 0));
    check_bad("crashed");
    help_tell(GOOD);
    usage = help_ask(reader);
    check_bad("crashed"); /* left alone for a while */
}
END_TEST

START_TEST(comes_back)
{
    options.retry_ms = 1;
    ask_first(bad("crash", 5, 0));
    check_bad("crashed");
    help_tell(GOOD);
    help_pause(5);
    usage = help_ask(reader);
    check_good();
}
END_TEST

START_TEST(ends_the_program)
{
    ask_first(bad("exit", 5, _i));
    check_bad("exited with status");
}
END_TEST

/* With the exit status of an idle process: it is tried once more, not for ever. */
START_TEST(ends_the_program_later)
{
    ask_first(GOOD);
    check_good();
    help_tell(bad("exit", 5, 0));
    usage = help_ask(reader);
    check_bad("exited with status");
}
END_TEST

START_TEST(prints)
{
    char byte;
    int fds[2], out = dup(1), err = dup(2);
    ck_assert_int_eq(pipe(fds), 0);
    fflush(NULL);
    dup2(fds[1], 1);
    dup2(fds[1], 2);
    close(fds[1]);
    ask_first(bad("print", _i, 0));
    check_good();
    reader = usage_reader_free(reader);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    ck_assert_int_eq(read(fds[0], &byte, 1), 0); /* not a byte of it came through */
    close(fds[0]);
}
END_TEST

/* A helper of the driver that never ends, with our socket open. */
START_TEST(leaves_a_helper_behind)
{
    ask_first(bad("breed", 0, 0));
    check_good();
    pid_t helper = help_child(help_child(getpid()));
    ck_assert_int_gt(helper, 0);
    reader = usage_reader_free(reader);
    help_dies(helper);
}
END_TEST

/* And the process ends, while the helper still holds our socket. */
START_TEST(leaves_a_helper_and_crashes)
{
    options.first_ms = help_no_pidfd() ? 2000 : 60000; /* it is noticed at the end of this */
    ask_first(GOOD "breed count\ncrash memory\n");
    check_bad("crashed");
}
END_TEST

START_TEST(leaves_a_helper_and_is_idle)
{
    options.idle_ms = 50;
    ask_first(bad("breed", 0, 0));
    check_good();
    pid_t helper = help_child(help_child(getpid()));
    if (help_no_pidfd())
        help_dies(help_child(getpid())); /* it is noticed at the next question */
    while (help_child(getpid()) != 0 && !help_no_pidfd()) {
        struct pollfd fd = {.fd = usage_reader_fd(reader), .events = POLLIN};
        ck_assert_int_eq(poll(&fd, 1, 60000), 1);
        ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN);
    }
    usage = help_ask(reader);
    check_good();
    help_dies(helper);
}
END_TEST

/* Finding the devices costs more than asking them: it is done once. */
START_TEST(is_started_once)
{
    ask_first(GOOD);
    help_tell(GOOD "crash init\ncrash count\ncrash uuid\ncrash pci\n");
    usage = help_ask(reader);
    check_good();
}
END_TEST

START_TEST(is_slow)
{
    ask_first(bad("slow", _i, 30));
    check_good();
}
END_TEST

/* Errors are reported in NVML's words, on one line. */
START_TEST(fails)
{
    static const char *const why[] = {"does not start",
                                      "cannot list its devices",
                                      "",
                                      "",
                                      "",
                                      "cannot report used memory",
                                      "cannot list the processes",
                                      "cannot list the processes",
                                      "cannot list the processes",
                                      ""};
    ask_first(bad("fail", _i, 999));
    check_other();
    const struct gpu_usage_device *device = &usage->device[1];
    if (why[_i][0] != '\0') {
        ck_assert_msg(strstr(device->note, why[_i]), "%s", device->note);
        ck_assert_ptr_nonnull(strstr(device->note, "A Made Up?Error (NVML error 999)"));
    }
    /* The figure does not need the processes; the devices may be found by the other name. */
    ck_assert_int_eq(device->known, _i >= 6 || _i == 4);
    ck_assert_int_eq(!!help_find(usage, 1, 10), _i == 9 || _i == 4);
}
END_TEST

START_TEST(is_not_loaded)
{
    ask_first(bad("fail", 0, 9));
    check_other();
    ck_assert_str_eq(usage->device[1].note, ""); /* no driver, no device, no trouble */
    ck_assert_str_eq(usage->device[1].backend, "none");
}
END_TEST

/* Has no lists of processes at all, like old cards. */
START_TEST(does_not_support_lists)
{
    ask_first(GOOD "fail compute 3\nfail mps 3\nfail utilization 3\nprocess 11 5 1 g\n");
    ck_assert(usage->device[1].known);
    ck_assert_str_eq(usage->device[1].note, "");
    ck_assert_uint_eq(help_find(usage, 1, 11)->memory_bytes, 5);
    ck_assert_ptr_null(help_find(usage, 1, 10));
}
END_TEST

/* The device goes away, and another one is in its place later. */
START_TEST(loses_the_device)
{
    ask_first(GOOD);
    help_tell(bad("fail", 5, 15));
    usage = help_ask(reader);
    check_bad("NVML error 15");
    help_tell("device GPU-b - 7\n" GOOD);
    help_ask(reader);
    usage = help_ask(reader);
    check_good();
}
END_TEST

START_TEST(says_five_thousand)
{
    ask_first("device GPU-a - 4096\nprocess 200000 9000000 0\nmany 5000\nprocess 10 - 0\n");
    ck_assert_uint_eq(usage->process_count, GPU_USAGE_PROCESS_MAX);
    ck_assert_uint_eq(usage->process_lost, 3 + 5002 - GPU_USAGE_PROCESS_MAX);
    ck_assert_uint_eq(usage->device[1].used_bytes, 4096);
    ck_assert_ptr_nonnull(help_find(usage, 1, 200000)); /* the largest user has a place */
    ck_assert_ptr_null(help_find(usage, 1, 10));
}
END_TEST

START_TEST(says_four_billion)
{
    ask_first(GOOD "claim 4294967295\n");
    check_other();
    ck_assert(usage->device[1].known);
    ck_assert_ptr_nonnull(strstr(usage->device[1].note, "too many processes"));
}
END_TEST

/* The list grows with each call: in the end it fits, because there is room to spare. */
START_TEST(grows)
{
    ask_first(GOOD "grow 1\n");
    check_other();
    ck_assert_str_eq(usage->device[1].note, "");
    ck_assert_uint_gt(usage->process_count, 100);
}
END_TEST

START_TEST(says_impossible_things)
{
    ask_first("device GPU-a - 18446744073709551615\n");
    check_other();
    ck_assert(!usage->device[1].known);
    ck_assert_ptr_nonnull(strstr(usage->device[1].note, "invalid figure"));
    help_tell("device GPU-a - 4096\nprocess 0 5 0\nprocess 4294967295 5 0\n"
              "process 10 9300000000000000000 4000000000\n");
    help_ask(reader);
    help_pause(10);
    usage = help_ask(reader);
    ck_assert_uint_eq(help_find(usage, 1, 10)->memory_bytes, GPU_BYTES_UNKNOWN);
    ck_assert_uint_eq(help_find(usage, 1, 10)->busy_ns, 0);
    ck_assert_ptr_null(help_find(usage, 1, -1));
}
END_TEST

static void add_tests(TCase *all)
{
    const TTest *const tests[] = {hangs_later,
                                  hangs_really,
                                  is_started_once,
                                  hides_its_own_devices_only,
                                  comes_back,
                                  ends_the_program_later,
                                  leaves_a_helper_behind,
                                  leaves_a_helper_and_crashes,
                                  leaves_a_helper_and_is_idle,
                                  is_not_loaded,
                                  does_not_support_lists,
                                  loses_the_device,
                                  says_five_thousand,
                                  says_four_billion,
                                  grows,
                                  says_impossible_things};
    const TTest *const of_calls[] = {hangs, crashes, prints, is_slow, fails};

    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tcase_add_test(all, tests[i]);
    for (size_t i = 0; i < ARRAY_COUNT(of_calls); i++)
        tcase_add_loop_test(all, of_calls[i], 0, CALLS);
    tcase_add_loop_test(all, ends_the_program, 0, 2);
}

int main(int argc, char **argv)
{

    if (argc == 3 && strcmp(argv[1], "--driver") == 0)
        _exit(driver_process(argv[2], gpu_vendors));
    if (!realpath(argv[0], help_program))
        return 1;
    TCase *all = check_case("usage-mad", begin, end);
    add_tests(all);
    return check_run("usage-mad", all);
}
