/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the usage reader: the answer of every driver, on machines laid out in a
 * directory and with a made-up driver. The life of its process is in usage_life.c, misbehaving
 * drivers are in usage_mad.c.
 */
#include "usage_help.h"

#include "core/base/clock.h"
#include "core/gpu/driver.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* -- every vendor -------------------------------------------------------------------- */

/* The expected answer for a machine of tests/gpu/machines (README.md there): commas between
 * devices ("backend known used summed") and processes ("pid device MiB busy_ns"). */
struct machine {
    char devices[1024], told[1024], processes[1024];
};

static glob_t machines;

static void append(char *list, size_t size, const char *text)
{
    size_t length = strlen(list);
    snprintf(list + length, size - length, "%s%s", length > 0 ? "," : "", text);
}

static void read_machine(const char *path, struct machine *machine)
{
    char line[256], name[128], told[128];
    FILE *file = fopen(path, "r");
    ck_assert_msg(file, "%s", path);
    memset(machine, 0, sizeof(*machine));
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "process ", 8))
            append(machine->processes, sizeof(machine->processes), line + 8);
        int end = 0;
        if (sscanf(line, "device %*s %*s%n", &end), end == 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", end - 7, line + 7);
        snprintf(told, sizeof(told), "%s", line + end + 1);
        append(machine->devices, sizeof(machine->devices), name);
        append(machine->told, sizeof(machine->told), told);
    }
    fclose(file);
}

static void describe(const struct gpu_usage *usage, char *told, size_t size)
{
    size_t at = 0;
    told[0] = '\0';
    for (uint32_t i = 0; i < usage->device_count; i++) {
        const struct gpu_usage_device *d = &usage->device[i];
        at +=
            (size_t)snprintf(told + at, size - at, "%s%s %s %llu %s", i > 0 ? "," : "", d->backend,
                             d->known ? "known" : "unknown", (unsigned long long)d->used_bytes,
                             !d->known   ? "-"
                             : d->summed ? "sum"
                                         : "total");
        ck_assert_str_eq(d->note, "");
    }
}

/* Finds a process that must be listed. */
static void check_process(const struct gpu_usage *usage, const char *text)
{
    char amount[32], busy[32];
    unsigned device;
    int pid;
    ck_assert_int_eq(sscanf(text, "%d %u %31s %31s", &pid, &device, amount, busy), 4);
    const struct gpu_usage_process *p = help_find(usage, device, pid);
    ck_assert_msg(p, "%s", text);
    if (amount[0] == '-')
        ck_assert_uint_eq(p->memory_bytes, GPU_BYTES_UNKNOWN);
    else
        ck_assert_uint_eq(p->memory_bytes, (uint64_t)(strtod(amount, NULL) * (double)MIB));
    if (busy[0] != '?')
        ck_assert_uint_eq(p->busy_ns, strtoull(busy, NULL, 10));
}

START_TEST(tells)
{
    const char *path = machines.gl_pathv[_i];
    char told[1024], copy[1024], *save = NULL;
    struct machine machine;

    read_machine(path, &machine);
    help_lay_out(strrchr(path, '/') + 1);
    struct usage_reader *reader = help_reader(machine.devices, NULL);
    for (int i = 0; i < 2; i++) { /* and the same again */
        const struct gpu_usage *usage = help_ask(reader);
        uint32_t count = 0;
        describe(usage, told, sizeof(told));
        ck_assert_str_eq(told, machine.told);
        snprintf(copy, sizeof(copy), "%s", machine.processes);
        for (char *one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
            check_process(usage, one);
            count++;
        }
        ck_assert_uint_eq(usage->process_count, count);
        ck_assert_uint_eq(usage->process_lost, 0);
    }
    usage_reader_free(reader);
}
END_TEST

/* A vendor that reports usage has at least one machine here. */
START_TEST(vendors_have_machines)
{
    struct machine machine;
    for (size_t v = 0; gpu_vendors[v]; v++) {
        bool found = !gpu_vendors[v]->sample;
        char word[32];
        snprintf(word, sizeof(word), "%s known", gpu_vendors[v]->name);
        for (size_t i = 0; i < machines.gl_pathc && !found; i++) {
            read_machine(machines.gl_pathv[i], &machine);
            found = strstr(machine.told, word);
        }
        ck_assert_msg(found, "%s: tests/gpu/machines has no machine with its devices",
                      gpu_vendors[v]->name);
    }
}
END_TEST

START_TEST(vendors_have_words)
{
    for (size_t i = 0; gpu_vendors[i]; i++) {
        ck_assert_uint_lt(i, GPU_VENDOR_MAX);
        ck_assert_uint_lt(strlen(gpu_vendors[i]->name), 16);
        ck_assert_uint_gt(strlen(gpu_vendors[i]->help), 20);
        ck_assert_ptr_eq(gpu_vendor_find(gpu_vendors[i]->name), gpu_vendors[i]);
    }
    ck_assert_ptr_null(gpu_vendor_find("nonsense"));
}
END_TEST

/* Two devices at one address: parts of a card, whose usage is not that of either. */
START_TEST(parts_are_not_the_whole)
{
    help_tell("device GPU-whole 00000000:3B:00.0 4000000000\nprocess 10 1048576 0\n");
    struct usage_reader *reader = help_reader("MIG-1 0000:3b:00.0,MIG-2 0000:3b:00.0", NULL);
    const struct gpu_usage *usage = help_ask(reader);
    ck_assert(!usage->device[0].known && !usage->device[1].known);
    ck_assert_uint_eq(usage->process_count, 0);
    usage_reader_free(reader);
}
END_TEST

START_TEST(old_driver)
{
    setenv("LD_LIBRARY_PATH", USAGE_FAKE_NVML_OLD, 1);
    help_tell("device GPU-a 00000000:3B:00.0 4000\nprocess 10 1048576 30\nprocess 11 - 1 g\n"
              "process 12 7 0 gm\n");
    struct usage_reader *reader = help_reader("GPU-a -", NULL);
    const struct gpu_usage *usage = help_ask(reader);
    ck_assert(usage->device[0].known);
    ck_assert_uint_eq(usage->device[0].used_bytes, 4000);
    ck_assert_uint_eq(usage->process_count, 3);
    ck_assert_uint_eq(help_find(usage, 0, 10)->memory_bytes, MIB);
    ck_assert_uint_eq(help_find(usage, 0, 11)->memory_bytes, GPU_BYTES_UNKNOWN);
    ck_assert_uint_eq(help_find(usage, 0, 12)->memory_bytes, 7);
    usage_reader_free(reader);
}
END_TEST

static void make_user(int pid, int real_uid, int effective_uid)
{
    char name[32], text[256];
    snprintf(name, sizeof(name), "proc/%d/status", pid);
    snprintf(text, sizeof(text),
             "Name:\tx\nTgid:\t%d\nUid:\t%d\t%d\t%d\t%d\nGid:\t1\t1\t1\t1\nGroups:\t \n", pid,
             real_uid, effective_uid, effective_uid, effective_uid);
    help_write(name, text);
}

/* 1200 and 1300 have one file of the first card open. If they are of two users, its memory may be
 * that of either: it is marked. A setuid program of the user is no other user. */
START_TEST(handed_over)
{
    help_lay_out("amd.machine");
    struct usage_reader *reader = help_reader("- 0000:03:00.0,- 0000:43:00.0", NULL);
    make_user(1200, 6101, 6101);
    make_user(1300, 6101, 0);
    const struct gpu_usage *usage = help_ask(reader);
    ck_assert_uint_eq(help_find(usage, 0, 1200)->memory_bytes, 3072 * MIB);
    ck_assert_uint_eq(help_find(usage, 0, 1200)->shared_bytes, 0);
    make_user(1300, 6102, 6102);
    usage = help_ask(reader);
    ck_assert_uint_eq(help_find(usage, 0, 1200)->memory_bytes, 3072 * MIB);
    ck_assert_uint_eq(help_find(usage, 0, 1200)->shared_bytes, 3072 * MIB);
    ck_assert_uint_eq(help_find(usage, 1, 1200)->shared_bytes, 0); /* that card's is its own */
    ck_assert_uint_eq(help_find(usage, 0, 1300)->shared_bytes, 0); /* so are its other files */
    usage_reader_free(reader);
}
END_TEST

/* A text that does not fit is cut between lines, not in a number. */
START_TEST(long_fdinfo)
{
    static char text[20000];
    size_t length = (size_t)snprintf(text, sizeof(text),
                                     "drm-driver:\tamdgpu\ndrm-client-id:\t4242\n"
                                     "drm-pdev:\t0000:03:00.0\ndrm-total-vram:\t7 KiB\n");
    help_lay_out("amd.machine");
    /* The buffer ends behind the first digit of the second amount. */
    const char last[] = "drm-total-vram:\t1";
    while (length < 16383 - strlen(last) - 1)
        text[length++] = 'x';
    text[length++] = '\n';
    snprintf(text + length, sizeof(text) - length, "%s00000 KiB\n", last);
    help_write("proc/1400/fdinfo/4", text);
    struct usage_reader *reader = help_reader("- 0000:03:00.0", NULL);
    ck_assert_uint_eq(help_find(help_ask(reader), 0, 1400)->memory_bytes, 7 << 10);
    usage_reader_free(reader);
}
END_TEST

/* Each answer is the driver's newest. */
START_TEST(news)
{
    help_tell("device GPU-a - 1\n");
    struct usage_reader *reader = help_reader("GPU-a -", NULL);
    ck_assert_uint_eq(help_ask(reader)->device[0].used_bytes, 1);
    help_tell("device GPU-a - 2\nprocess 5 1 0\n");
    const struct gpu_usage *usage = help_ask(reader);
    ck_assert_uint_eq(usage->device[0].used_bytes, 2);
    ck_assert_uint_eq(usage->process_count, 1);
    help_tell("device GPU-a - 0\n");
    ck_assert_uint_eq(help_ask(reader)->process_count, 0);
    usage_reader_free(reader);
}
END_TEST

/* The driver is loaded while the daemon runs. */
START_TEST(driver_comes_later)
{
    struct usage_options options = help_options();
    options.retry_ms = 1;
    struct usage_reader *reader = help_reader("GPU-a -", &options);
    ck_assert(!help_ask(reader)->device[0].known);
    help_tell("device GPU-a - 2\n");
    help_pause(5);
    ck_assert(help_ask(reader)->device[0].known);
    usage_reader_free(reader);
}
END_TEST

/* -- how long it was busy ------------------------------------------------------------- */

/* A process that keeps the device busy for half of the time. */
START_TEST(busy_as_long_as_it_was)
{
    help_tell("device GPU-a - 1\nprocess 5 1 50\nprocess 6 1 0\n");
    struct usage_reader *reader = help_reader("GPU-a -", NULL);
    const struct gpu_usage *usage = help_ask(reader);
    int64_t first_ns = usage->asked_ns, first_end_ns = first_ns + usage->took_ns;
    ck_assert_uint_eq(help_find(usage, 0, 5)->busy_ns, 0);
    for (int i = 0; i < 3; i++) {
        help_pause(100);
        usage = help_ask(reader);
        int64_t busy_ns = (int64_t)help_find(usage, 0, 5)->busy_ns;
        ck_assert_int_ge(busy_ns, (usage->asked_ns - first_end_ns) / 2 - 100000);
        ck_assert_int_le(busy_ns, (usage->asked_ns + usage->took_ns - first_ns) / 2 + 100000);
        ck_assert_uint_eq(help_find(usage, 0, 6)->busy_ns, 0);
    }
    usage_reader_free(reader);
}
END_TEST

/* Busy time goes on from its last value when a new reader process counts from 0. */
START_TEST(busy_goes_on)
{
    struct usage_options options = help_options();
    options.idle_ms = 100;
    help_tell("device GPU-a - 1\nprocess 5 1 100\n");
    struct usage_reader *reader = help_reader("GPU-a -", &options);
    uint64_t first_ns = 0, now_ns = 0;
    while (first_ns == 0)
        first_ns = help_find(help_ask(reader), 0, 5)->busy_ns;
    help_dies(help_child(getpid()));
    ck_assert_uint_eq(help_find(help_ask(reader), 0, 5)->busy_ns, first_ns);
    int64_t start_ns = clock_monotonic_ns();
    for (int i = 0; i < 1000 && now_ns <= first_ns; i++)
        now_ns = help_find(help_ask(reader), 0, 5)->busy_ns;
    ck_assert_uint_gt(now_ns, first_ns);
    ck_assert_int_lt((int64_t)(now_ns - first_ns), clock_monotonic_ns() - start_ns + 50000000);
    usage_reader_free(reader);
}
END_TEST

static void tell_client(const char *busy)
{
    char text[256];
    snprintf(text, sizeof(text),
             "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\n"
             "drm-memory-vram:\t1 KiB\ndrm-engine-gfx:\t%s ns\n",
             busy);
    help_write("proc/1400/fdinfo/4", text);
}

/* The kernel's own figures: a sum that falls, because a file was closed, is not passed on. */
START_TEST(busy_never_goes_back)
{
    help_lay_out("amd.tree");
    tell_client("5000");
    struct usage_reader *reader = help_reader("- 0000:03:00.0", NULL);
    ck_assert_uint_eq(help_find(help_ask(reader), 0, 1400)->busy_ns, 5000);
    tell_client("6000");
    ck_assert_uint_eq(help_find(help_ask(reader), 0, 1400)->busy_ns, 6000);
    tell_client("400");
    ck_assert_uint_eq(help_find(help_ask(reader), 0, 1400)->busy_ns, 6000);
    tell_client("500");
    ck_assert_uint_eq(help_find(help_ask(reader), 0, 1400)->busy_ns, 6100);
    usage_reader_free(reader);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {vendors_have_words,
                                  vendors_have_machines,
                                  parts_are_not_the_whole,
                                  old_driver,
                                  handed_over,
                                  long_fdinfo,
                                  news,
                                  driver_comes_later,
                                  busy_as_long_as_it_was,
                                  busy_goes_on,
                                  busy_never_goes_back};

    if (argc == 3 && strcmp(argv[1], "--driver") == 0)
        _exit(driver_process(argv[2], gpu_vendors));
    if (!realpath(argv[0], help_program))
        return 1;
    if (glob(USAGE_TREES "/*.machine", 0, NULL, &machines) != 0)
        return 1;
    TCase *all = check_case("usage-contract", help_begin, help_end);
    tcase_add_loop_test(all, tells, 0, (int)machines.gl_pathc);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tcase_add_test(all, tests[i]);
    int r = check_run("usage-contract", all);
    globfree(&machines);
    return r;
}
