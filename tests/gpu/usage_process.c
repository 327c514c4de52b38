/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A usage reader process that sends nonsense, leaves at the wrong moment, or is another
 * program: the reader checks everything, and still asks the other drivers.
 */
#include "usage_help.h"

#include "core/base/clock.h"
#include "core/gpu/driver.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

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
    unsetenv("USAGE_MAD");
}

static void end(void)
{
    reader = usage_reader_free(reader);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, dead or alive */
    ck_assert_int_eq(errno, ECHILD);
    help_end();
}

/* The fault in the second answer, that of nvml. */
enum madness {
    WELL,
    WRONG_MAGIC,
    WRONG_NUMBER,
    WRONG_BACKEND,
    MANY_ROWS,
    BAD_PID,
    BAD_DEVICE,
    BAD_MEMORY,
    BAD_BUSY,
    BAD_USED,
    USED_UNKNOWN,
    BAD_FLAG,
    TWO_LINES,
    ENDLESS_TEXT,
    ENDLESS_NOTE,
    ALL_ONES,
    HALF_AN_ANSWER, /* the last of those that are noticed at once */
    SILENT,
    DEAF, /* closes its end and lives */
    MADNESSES,
    LEAVING_SLOWLY, /* closes its end a moment before it has ended */
    FOREIGN_ROW,    /* no fault in itself, but of another vendor's device */
};

/* Copies a flag that is neither true nor false. */
static void spoil(void *thing)
{
    const unsigned char byte = 7;
    memcpy(thing, &byte, 1);
}

static void go_mad(enum madness how, struct usage_answer *answer, struct gpu_usage_process *row)
{
    switch (how) {
    case WRONG_MAGIC:
        answer->magic++;
        break;
    case WRONG_NUMBER:
        answer->number++;
        break;
    case WRONG_BACKEND:
        answer->vendor = 77;
        break;
    case MANY_ROWS:
        answer->process_count = GPU_USAGE_PROCESS_MAX + 1;
        break;
    case BAD_PID:
        row->pid = 0;
        break;
    case BAD_DEVICE:
        row->device = 2;
        break;
    case FOREIGN_ROW:
        row->device = 0;
        break;
    case BAD_MEMORY:
        row->memory_bytes = UINT64_MAX - 1;
        break;
    case BAD_BUSY:
        row->busy_ns = UINT64_MAX;
        break;
    case BAD_USED:
        answer->device[1].used_bytes = UINT64_MAX;
        break;
    case USED_UNKNOWN:
        answer->device[1].known = false;
        break;
    case BAD_FLAG:
        spoil(&answer->device[1].known);
        break;
    case TWO_LINES:
        strcpy(answer->device[1].note, "two\nlines");
        break;
    case ENDLESS_TEXT:
        memset(answer->device[1].note, 'n', sizeof(answer->device[1].note));
        break;
    case ENDLESS_NOTE:
        memset(answer->note, 'n', sizeof(answer->note));
        break;
    case ALL_ONES:
        memset(answer, 0xff, sizeof(*answer));
        break;
    default:
        break;
    }
}

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

static const char *const names[] = {"drm", "nvml"};

/* The kind of answer: wrong for one vendor, right for the other. */
struct mood {
    enum madness how;
    uint32_t which; /* of names */
    int questions;  /* then it ends */
};

/* Returns false at the end. Each vendor knows the device of its own number in names, and others
 * know none; nvml reports one process. */
static bool answer_madly(int fd, const struct mood *mood, const struct driver_question *question,
                         uint32_t vendor, uint32_t which)
{
    static struct usage_answer answer;
    struct gpu_usage_process row = {.pid = 10, .device = 1, .memory_bytes = MIB};
    enum madness how = mood->which == which ? mood->how : WELL;

    memset(&answer, 0, sizeof(answer));
    answer.magic = DRIVER_MAGIC;
    answer.number = question->number;
    answer.vendor = vendor;
    if (which < 2) {
        answer.device[which].known = true;
        answer.device[which].used_bytes = 4096;
    }
    answer.process_count = which == 1;
    if (how == LEAVING_SLOWLY && close(fd) == 0) {
        help_pause(5);
        _exit(3);
    }
    if (how == SILENT || how == DEAF) {
        help_say_hanging();
        if (how == SILENT || close(fd) == 0)
            hang();
    }
    go_mad(how, &answer, &row);
    if (how == HALF_AN_ANSWER) {
        send(fd, &answer, 100, 0);
        return false;
    }
    return send(fd, &answer, driver_usage_bytes(2), 0) > 0 &&
           (which != 1 || send(fd, &row, sizeof(row), 0) > 0);
}

static int be_mad(int fd, struct mood mood)
{
    static struct gpu_setup hello;
    struct driver_question question;

    if (recv(fd, &hello, driver_setup_bytes(2), MSG_WAITALL) != (ssize_t)driver_setup_bytes(2))
        return 1;
    while (recv(fd, &question, sizeof(question), MSG_WAITALL) == (ssize_t)sizeof(question) &&
           mood.questions-- > 0) {
        for (uint32_t i = 0; gpu_vendors[i]; i++) {
            uint32_t which = 0;
            while (which < 2 && strcmp(gpu_vendors[i]->name, names[which]) != 0)
                which++;
            if ((question.vendors & 1u << i) != 0 && !answer_madly(fd, &mood, &question, i, which))
                return 0;
        }
    }
    return 0;
}

/* Asks a process that gives this wrong answer for one of the vendors. */
static void ask_mad(enum madness how, uint32_t which)
{
    char mad[24];
    snprintf(mad, sizeof(mad), "%d %u", (int)how, which);
    setenv("USAGE_MAD", mad, 1);
    usage = how == SILENT ? help_ask_hanging(reader, options.first_ms) : help_ask(reader);
}

START_TEST(process_is_mad)
{
    reader = help_reader(DEVICES, &options);
    ask_mad((enum madness)_i, 1);
    ck_assert(usage->device[0].known);
    ck_assert_uint_eq(usage->device[0].used_bytes, 4096);
    ck_assert_int_eq(usage->device[1].known, _i == WELL);
    ck_assert_uint_eq(usage->process_count, _i == WELL);
    const char *note = usage->device[1].note;
    if (_i == WELL)
        ck_assert_str_eq(note, "");
    else if (_i < HALF_AN_ANSWER)
        ck_assert_msg(strstr(note, "an invalid answer"), "%s", note);
    else if (_i == SILENT)
        ck_assert_msg(strstr(note, "did not answer"), "%s", note);
    else
        ck_assert_msg(strstr(note, "exited with status") || strstr(note, "crashed"), "%s", note);
}
END_TEST

/* It closes its end shortly before it exits: its exit status is reported all the same. The
 * reader waits only briefly, so on a busy machine it may take more than one try. */
START_TEST(process_leaves_slowly)
{
    bool told = false;
    options.retry_ms = 1;
    reader = help_reader(DEVICES, &options);
    for (int i = 0; i < 100 && !told; i++) {
        help_pause(2);
        ask_mad(LEAVING_SLOWLY, 1);
        told = strstr(usage->device[1].note, "exited with status 3");
    }
    ck_assert(told);
}
END_TEST

/* The first answer is wrong: the next vendor is asked in another process. */
START_TEST(next_one_is_asked)
{
    static const enum madness how[] = {WRONG_MAGIC, TWO_LINES, HALF_AN_ANSWER, SILENT};
    reader = help_reader(DEVICES, &options);
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            ask_mad(how[_i], 0);
        else
            usage = help_ask(reader); /* drm is left alone for a while */
        ck_assert(!usage->device[0].known);
        ck_assert_str_eq(usage->device[0].backend, "drm");
        ck_assert_ptr_nonnull(strstr(usage->device[0].note, "The drm driver "));
        ck_assert(usage->device[1].known);
        ck_assert_str_eq(usage->device[1].note, "");
        ck_assert_uint_eq(usage->process_count, 1);
    }
}
END_TEST

/* A process on a device that its vendor does not know, but another one does. */
START_TEST(foreign_rows_are_dropped)
{
    reader = help_reader(DEVICES, &options);
    ask_mad(FOREIGN_ROW, 1);
    ck_assert(usage->device[0].known && usage->device[1].known);
    ck_assert_uint_eq(usage->process_count, 0);
}
END_TEST

/* Unrequested answers. */
START_TEST(process_talks_unasked)
{
    setenv("USAGE_MAD", "unasked", 1);
    reader = help_reader(DEVICES, &options);
    usage = help_ask(reader);
    ck_assert(usage->device[0].known && usage->device[1].known);
    pid_t child = help_child(getpid());
    help_write("nvml.speak", ""); /* now, and not while a question is under way */
    for (int i = 0; i < 6000 && help_child(getpid()) == child; i++) {
        help_pause(10);
        ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN);
    }
    ck_assert_int_eq(help_child(getpid()), 0);
    unsetenv("USAGE_MAD");
    help_tell(GOOD);
    usage = help_ask(reader);
    ck_assert(usage->device[0].known && usage->device[1].known);
}
END_TEST

static int talk_unasked(int fd)
{
    pid_t child = fork();
    if (child == 0) {
        char path[4096];
        snprintf(path, sizeof(path), "%s.speak", getenv("CHRONOS_FAKE_NVML"));
        while (access(path, F_OK) != 0 && getppid() != 1)
            help_pause(5);
        return send(fd, "hello", 5, 0) > 0;
    }
    return be_mad(fd, (struct mood){.questions = 1000});
}

/* Its idle time ran out as the question came: no failure. */
START_TEST(process_leaves_as_it_is_asked)
{
    setenv("USAGE_MAD", "leaving", 1);
    reader = help_reader(DEVICES, &options);
    pid_t last = 0;
    for (int i = 0; i < 3; i++) {
        usage = help_ask(reader);
        ck_assert(usage->device[0].known && usage->device[1].known);
        ck_assert_int_ne(help_child(getpid()), last);
        last = help_child(getpid());
    }
}
END_TEST

/* An answer that was not taken is not asked for again. */
START_TEST(asks_again_when_taken)
{
    options.program = "/nonexistent/chronosfs"; /* the answer is there at once */
    help_tell(GOOD);
    reader = help_reader(DEVICES, &options);
    usage_reader_ask(reader);
    int64_t asked_ns = clock_monotonic_ns();
    usage_reader_ask(reader);
    usage = help_wait(reader);
    ck_assert_int_le(usage->asked_ns, asked_ns);
}
END_TEST

START_TEST(no_program)
{
    options.program = "/nonexistent/chronosfs";
    help_tell(GOOD);
    reader = help_reader(DEVICES, &options);
    for (int i = 0; i < 2; i++) {
        usage = help_ask(reader);
        for (int d = 0; d < 2; d++) {
            ck_assert(!usage->device[d].known);
            /* Under valgrind a failed execve is not reported: the process ends, before the
             * question or after it. */
            const char *note = usage->device[d].note;
            ck_assert_msg(help_no_pidfd() ? strstr(note, "exited with status") ||
                                                strstr(note, "could not be reached (Broken")
                                          : !!strstr(note, "could not be reached (No such"),
                          "%s", note);
        }
    }
}
END_TEST

START_TEST(another_program)
{
    options.program = _i == 0 ? "/bin/true" : "/bin/false";
    help_tell(GOOD);
    reader = help_reader(DEVICES, &options);
    usage = help_ask(reader);
    for (int d = 0; d < 2; d++)
        ck_assert(!usage->device[d].known && usage->device[d].note[0] != '\0');
}
END_TEST

/* The process with the fault in USAGE_MAD: "unasked", "leaving", or "HOW WHICH". */
static int act(int fd, const char *mad)
{
    int how = WELL;
    unsigned which = 1;
    if (strcmp(mad, "unasked") == 0)
        return talk_unasked(fd);
    if (strcmp(mad, "leaving") == 0)
        return be_mad(fd, (struct mood){.questions = 1});
    if (sscanf(mad, "%d %u", &how, &which) != 2)
        return 1;
    return be_mad(fd, (struct mood){(enum madness)how, which, 1000});
}

int main(int argc, char **argv)
{
    const char *mad = getenv("USAGE_MAD");

    if (argc == 3 && strcmp(argv[1], "--driver") == 0)
        _exit(mad ? act(DRIVER_FD, mad) : driver_process(argv[2], gpu_vendors));
    if (!realpath(argv[0], help_program))
        return 1;
    TCase *all = check_case("usage-process", begin, end);
    tcase_add_loop_test(all, process_is_mad, 0, MADNESSES);
    tcase_add_test(all, process_leaves_slowly);
    tcase_add_loop_test(all, next_one_is_asked, 0, 4);
    tcase_add_test(all, foreign_rows_are_dropped);
    tcase_add_test(all, process_talks_unasked);
    tcase_add_test(all, process_leaves_as_it_is_asked);
    tcase_add_test(all, asks_again_when_taken);
    tcase_add_test(all, no_program);
    tcase_add_loop_test(all, another_program, 0, 2);
    return check_run("usage-process", all);
}
