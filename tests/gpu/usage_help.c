/* SPDX-License-Identifier: Apache-2.0 */
/* See usage_help.h. */
#include "usage_help.h"

#include "one_line.h"

#include "core/base/clock.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_MS 120000

char help_program[4096];
char help_directory[SCRATCH_MAX];
static int64_t skipped_ns; /* by help_skip */

/* -- directories -------------------------------------------------------------------- */

void help_begin(void)
{
    scratch_make(help_directory);
    setenv("CHRONOS_FAKE_NVML", help_path("nvml"), 1);
    skipped_ns = 0;
    setenv("LD_LIBRARY_PATH", USAGE_FAKE_NVML, 1);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

void help_end(void)
{
    nftw(help_directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *help_path(const char *name)
{
    static char places[8][512];
    static unsigned next;
    char *place = places[next++ % 8];
    snprintf(place, sizeof(places[0]), "%s/%s", help_directory, name);
    return place;
}

static void make_parents(const char *path)
{
    char copy[512];
    snprintf(copy, sizeof(copy), "%s", path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0755);
        *slash = '/';
    }
}

void help_write(const char *name, const char *text)
{
    char new_path[520];
    const char *path = help_path(name);
    make_parents(path);
    snprintf(new_path, sizeof(new_path), "%s.new", path);
    FILE *file = fopen(new_path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(rename(new_path, path), 0);
}

void help_tell(const char *text)
{
    help_write("nvml", text);
}

void help_lay_out(const char *name)
{
    char line[512], path[256], target[256];
    FILE *out = NULL;

    snprintf(line, sizeof(line), "%s/%s", USAGE_TREES, name);
    FILE *tree = fopen(line, "r");
    ck_assert_msg(tree, "%s: %s", line, strerror(errno));
    while (fgets(line, sizeof(line), tree)) {
        if (strncmp(line, "| ", 2) == 0 && out) {
            fputs(line + 2, out);
            continue;
        }
        if (out)
            fclose(out);
        out = NULL;
        if (sscanf(line, "include %255s", path) == 1) {
            help_lay_out(path);
        } else if (sscanf(line, "link %255s %255s", path, target) == 2) {
            make_parents(help_path(path));
            ck_assert_msg(symlink(target, help_path(path)) == 0, "%s", path);
        } else if (sscanf(line, "file %255s", path) == 1) {
            make_parents(help_path(path));
            out = fopen(help_path(path), "w");
            ck_assert_msg(out, "%s", path);
        }
    }
    if (out)
        fclose(out);
    fclose(tree);
}

/* -- asking --------------------------------------------------------------------------- */

struct gpu_device *help_devices(const char *names, uint32_t *ret_count)
{
    static struct gpu_device devices[GPU_DEVICE_MAX];
    static char copy[GPU_DEVICE_MAX * 64];
    char *save = NULL;
    uint32_t count = 0;

    memset(devices, 0, sizeof(devices));
    snprintf(copy, sizeof(copy), "%s", names);
    for (char *one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        struct gpu_device *d = &devices[count++];
        ck_assert_int_eq(sscanf(one, "%63s %31s", d->uuid, d->pci), 2);
        if (strcmp(d->uuid, "-") == 0)
            d->uuid[0] = '\0';
        if (strcmp(d->pci, "-") == 0)
            d->pci[0] = '\0';
    }
    *ret_count = count;
    return devices;
}

static int64_t help_now_ns(void)
{
    return clock_monotonic_ns() + skipped_ns;
}

void help_skip(int ms)
{
    skipped_ns += ms * INT64_C(1000000);
}

struct usage_options help_options(void)
{
    return (struct usage_options){.program = help_program,
                                  .proc = help_path("proc"),
                                  .sys = help_path("sys"),
                                  .timeout_ms = 60000,
                                  .first_ms = 60000,
                                  .now_ns = help_now_ns};
}

struct usage_reader *help_reader(const char *names, const struct usage_options *options)
{
    struct usage_options usual = help_options();
    struct usage_reader *reader = NULL;
    uint32_t count;
    struct gpu_device *devices = help_devices(names, &count);
    ck_assert_int_eq(usage_reader_new(devices, count, options ? options : &usual, &reader), 0);
    return reader;
}

static void check_device(const struct gpu_usage_device *device)
{
    one_line(device->backend, sizeof(device->backend));
    one_line(device->note, sizeof(device->note));
    ck_assert_str_ne(device->backend, "");
    if (!device->known) {
        ck_assert_uint_eq(device->used_bytes, 0);
        ck_assert(!device->summed);
    } else {
        ck_assert_str_ne(device->backend, "none");
    }
    if (device->note[0] != '\0')
        ck_assert_uint_gt(strlen(device->note), 20);
}

static void check_usage(const struct gpu_usage *usage)
{
    ck_assert_uint_le(usage->device_count, GPU_DEVICE_MAX);
    ck_assert_int_ge(usage->took_ns, 0);
    for (uint32_t i = 0; i < usage->device_count; i++)
        check_device(&usage->device[i]);
    ck_assert_uint_le(usage->process_count, GPU_USAGE_PROCESS_MAX);
    for (uint32_t i = 0; i < usage->process_count; i++) {
        const struct gpu_usage_process *p = &usage->process[i];
        ck_assert_int_gt(p->pid, 0);
        ck_assert_uint_lt(p->device, usage->device_count);
        ck_assert(usage->device[p->device].known);
        if (i > 0)
            ck_assert(p->device > p[-1].device ||
                      (p->device == p[-1].device && p->pid > p[-1].pid));
    }
}

const struct gpu_usage *help_wait(struct usage_reader *reader)
{
    const struct gpu_usage *usage = NULL;
    int r;
    do {
        struct pollfd fd = {.fd = usage_reader_fd(reader), .events = POLLIN};
        ck_assert_msg(poll(&fd, 1, PATIENCE_MS) == 1, "no answer");
        r = usage_reader_take(reader, &usage);
    } while (r == -EAGAIN);
    ck_assert_int_eq(r, 0);
    check_usage(usage);
    return usage;
}

const struct gpu_usage *help_ask(struct usage_reader *reader)
{
    usage_reader_ask(reader);
    return help_wait(reader);
}

void help_say_hanging(void)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s.hangs", getenv("CHRONOS_FAKE_NVML"));
    FILE *file = fopen(path, "w");
    if (file)
        fclose(file);
}

const struct gpu_usage *help_ask_hanging(struct usage_reader *reader, int ms)
{
    const struct gpu_usage *usage = NULL;
    usage_reader_ask(reader);
    for (int i = 0; i < PATIENCE_MS / 5 && access(help_path("nvml.hangs"), F_OK) != 0; i++)
        help_pause(5);
    ck_assert_int_eq(unlink(help_path("nvml.hangs")), 0);
    ck_assert_int_eq(usage_reader_take(reader, &usage), -EAGAIN); /* takes what was said before */
    help_skip(ms);
    if (usage_reader_take(reader, &usage) != 0)
        return help_wait(reader);
    check_usage(usage);
    return usage;
}

const struct gpu_usage_process *help_find(const struct gpu_usage *usage, uint32_t device,
                                          int32_t pid)
{
    for (uint32_t i = 0; i < usage->process_count; i++) {
        if (usage->process[i].device == device && usage->process[i].pid == pid)
            return &usage->process[i];
    }
    return NULL;
}

/* -- processes -------------------------------------------------------------------------- */

pid_t help_child(pid_t pid)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    fclose(file);
    return child;
}

const char *help_status(pid_t pid, const char *name)
{
    static char line[256];
    char path[64];
    size_t size = strlen(name);
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof(line), file))
        found = strncmp(line, name, size) == 0 && line[size] == ':';
    if (file)
        fclose(file);
    if (!found)
        return "";
    line[strcspn(line, "\n")] = '\0';
    return line + size + 1 + strspn(line + size + 1, " \t");
}

void help_pause(int ms)
{
    poll(NULL, 0, ms);
}

bool help_no_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

void help_dies(pid_t pid)
{
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        const char *state = help_status(pid, "State");
        if (state[0] == '\0' || state[0] == 'Z' || state[0] == 'X')
            return;
        help_pause(10);
    }
    ck_abort_msg("process %d lives", pid);
}
