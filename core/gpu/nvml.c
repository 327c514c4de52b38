/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA: device usage from the driver's management library (NVML). The pids it reports were those
 * of the caller's pid namespace on the machines tried. nvml_devices.c finds the devices.
 */
#include "cuda.h"
#include "cuda_checkpoint.h"
#include "identity.h"
#include "nvml_devices.h"
#include "nvml_nodes.h"
#include "usage_rows.h"

#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the driver takes for each process that no call of the program announces, such as kernels and
 * streams: up to 268 MiB on an H100. Contexts are charged. */
#define OVERHEAD_BYTES (UINT64_C(384) << 20)

#define PROCESSES_MOST 65536u    /* treat more as an invalid figure */
#define TRIES          5         /* the list can grow between two calls */
#define BUFFER_US      10000000u /* the driver keeps about 12 s of samples */
#define LATE_US        1000000u  /* it takes a sample once a second */

struct device {
    nvml_device handle;         /* NULL: not an NVIDIA device */
    unsigned long long seen_us; /* busy time is counted up to here; 0: never */
};

struct nvml {
    struct nvml_library library;
    bool loaded, ready;
    int64_t retry_ns;
    char note[192];
    struct device device[GPU_DEVICE_MAX]; /* by index in the setup */
    struct usage_rows counted;            /* busy_ns so far */
};

/* -- the library ------------------------------------------------------------------ */

static void write_note(const struct nvml *nvml, char note[192], const char *what, int code)
{
    nvml_library_note(&nvml->library, what, code, note, 192);
}

/* What assign_device needs: which of our devices is which of the driver's. */
struct assignment {
    struct nvml *nvml;
    const struct gpu_setup *setup;
};

/* A part is known by its uuid only: the usage of its card is not its usage. */
static void assign_device(void *context, const struct nvml_found *found)
{
    const struct assignment *assignment = context;
    int index = gpu_match(assignment->setup, found->uuid, found->part ? "" : found->pci);
    if (index >= 0)
        assignment->nvml->device[index].handle = found->handle;
}

static int find_devices(struct nvml *nvml, const struct gpu_setup *setup)
{
    struct assignment assignment = {nvml, setup};
    for (size_t i = 0; i < setup->device_count; i++)
        nvml->device[i].handle = NULL;
    return nvml_devices_each(&nvml->library, assign_device, &assignment);
}

/* Initialize the library. Retry a failure only after retry_ms: each attempt may load kernel
 * modules. */
static bool prepare(struct nvml *nvml, const struct gpu_setup *setup)
{
    int64_t now_ns = clock_monotonic_ns();
    struct message message = {""};
    if (nvml->ready)
        return true;
    if (now_ns < nvml->retry_ns)
        return false;
    nvml->note[0] = '\0';
    int r = nvml->loaded ? 0 : nvml_library_open(&nvml->library, &message);
    if (r) {
        message_refuse(r, nvml->note, sizeof(nvml->note), "%s", message.text);
        return false;
    }
    nvml->loaded = true;
    r = nvml->library.init();
    if (r && r != NVML_DRIVER_NOT_LOADED)
        write_note(nvml, nvml->note, "does not start", r);
    if (!r && (r = find_devices(nvml, setup)) != 0)
        write_note(nvml, nvml->note, "cannot list its devices", r);
    nvml->ready = !r;
    if (r)
        nvml->retry_ns = now_ns + setup->retry_ms * INT64_C(1000000);
    return nvml->ready;
}

/* -- one device ------------------------------------------------------------------- */

static int read_memory(const struct nvml *nvml, nvml_device handle, uint64_t *ret_used,
                       uint64_t *ret_free)
{
    struct nvml_memory_v2 second = {.version = (unsigned)sizeof(second) | 2u << 24};
    struct nvml_memory first = {0};

    /* Version 2 does not count memory that the driver reserves for itself. */
    if (nvml->library.memory_v2 && nvml->library.memory_v2(handle, &second) == 0) {
        *ret_used = second.used;
        *ret_free = second.free;
        return 0;
    }
    int r = nvml->library.memory(handle, &first);
    *ret_used = first.used;
    *ret_free = first.free;
    return r;
}

static int add_process(struct usage_rows *rows, uint32_t device, unsigned pid,
                       unsigned long long used)
{
    struct gpu_usage_process row = {.pid = (int32_t)pid, .device = device, .memory_bytes = used};
    if (pid == 0 || pid > INT32_MAX)
        return 0;
    if (used > INT64_MAX) /* ~0 is "not available"; no other value above this is valid */
        row.memory_bytes = GPU_BYTES_UNKNOWN;
    return usage_rows_add(rows, &row);
}

/* Ask until the list fits. Return NVML's code, -ENOMEM or -E2BIG. The caller frees *ret. */
static int fetch_list(const struct nvml_list *list, nvml_device handle, void **ret,
                      unsigned *ret_count)
{
    size_t size = list->v1 ? sizeof(struct nvml_process_v1) : sizeof(struct nvml_process);
    unsigned room = 0, count = 0;
    int r = list->ask(handle, &count, NULL);

    *ret = NULL;
    for (int i = 0; i < TRIES && r == NVML_INSUFFICIENT_SIZE; i++) {
        if (count > PROCESSES_MOST)
            return -E2BIG;
        room = count + count / 4 + 16;
        free(*ret);
        *ret = calloc(room, size);
        if (!*ret)
            return -ENOMEM;
        count = room;
        r = list->ask(handle, &count, *ret);
    }
    *ret_count = count < room ? count : room;
    return r;
}

/* Within one list a process has a row for each part of a split device, so sum them. The three lists
 * report the same memory again. */
static int read_list(const struct nvml *nvml, const struct nvml_list *list, uint32_t device,
                     struct usage_rows *rows)
{
    struct usage_rows mine = {0};
    unsigned count = 0;
    void *raw = NULL;
    int r = list->ask ? fetch_list(list, nvml->device[device].handle, &raw, &count)
                      : NVML_NOT_SUPPORTED;

    for (unsigned i = 0; !r && i < count; i++) {
        const struct nvml_process_v1 *v1 = raw;
        const struct nvml_process *v3 = raw;
        r = list->v1 ? add_process(&mine, device, v1[i].pid, v1[i].used)
                     : add_process(&mine, device, v3[i].pid, v3[i].used);
    }
    free(raw);
    usage_rows_merge(&mine, USAGE_SUM);
    for (size_t i = 0; !r && i < mine.count; i++)
        r = usage_rows_add(rows, &mine.row[i]);
    usage_rows_free(&mine);
    return r == NVML_NOT_SUPPORTED ? 0 : r;
}

static unsigned long long wall_us(void)
{
    return (unsigned long long)clock_realtime_ns() / 1000;
}

/* Return the samples since the last call, or NULL if there are none; the caller frees them. */
static struct nvml_utilization *fetch_samples(const struct nvml *nvml, const struct device *device,
                                              unsigned *ret_count)
{
    unsigned count = 0, room;

    *ret_count = 0;
    if (!nvml->library.utilization ||
        nvml->library.utilization(device->handle, NULL, &count, device->seen_us) !=
            NVML_INSUFFICIENT_SIZE ||
        count == 0 || count > PROCESSES_MOST)
        return NULL;
    room = count;
    struct nvml_utilization *samples = calloc(room, sizeof(*samples));
    if (samples && nvml->library.utilization(device->handle, samples, &count, device->seen_us) == 0)
        *ret_count = count < room ? count : room;
    return samples;
}

/* The time up to which samples were seen. The driver uses the wall clock, which can be set back. */
static unsigned long long newest(const struct nvml_utilization *samples, unsigned count,
                                 unsigned long long seen_us)
{
    unsigned long long now_us = wall_us(), newest_us = 0;
    for (unsigned i = 0; i < count; i++) {
        if (samples[i].time_us > newest_us)
            newest_us = samples[i].time_us;
    }
    /* Nothing ran: anything up to a second ago would have been reported by now. */
    if (newest_us == 0)
        newest_us = seen_us > now_us - LATE_US ? seen_us : now_us - LATE_US;
    return newest_us < now_us ? newest_us : now_us;
}

/* Add the busy time of each process since the last call. A sample is the mean over the time from
 * then to the newest sample of any process, not to its own (seen on an H200, driver 580). See
 * usage.h for its accuracy. */
static void count_busy(struct nvml *nvml, uint32_t index, struct usage_rows *rows)
{
    struct device *device = &nvml->device[index];
    unsigned count;
    struct nvml_utilization *samples = fetch_samples(nvml, device, &count);
    unsigned long long newest_us = newest(samples, count, device->seen_us);
    unsigned long long new_us = newest_us > device->seen_us ? newest_us - device->seen_us : 0;

    if (device->seen_us == 0)
        new_us = 0; /* first call: no start to count from */
    if (new_us > BUFFER_US)
        new_us = BUFFER_US;
    for (unsigned i = 0; i < count; i++) {
        struct gpu_usage_process *row =
            usage_rows_find(rows, index, samples[i].pid <= INT32_MAX ? (int32_t)samples[i].pid : 0);
        if (row && samples[i].sm <= 100)
            row->busy_ns += new_us * 10 * samples[i].sm; /* 1 percent of 1 us is 10 ns */
    }
    device->seen_us = newest_us;
    free(samples);
}

static int read_processes(struct nvml *nvml, uint32_t index, struct usage_rows *rows)
{
    struct usage_rows mine = {0};
    int r = 0;

    for (size_t i = 0; !r && i < NVML_LISTS; i++)
        r = read_list(nvml, &nvml->library.list[i], index, &mine);
    usage_rows_merge(&mine, USAGE_MAX);
    for (size_t i = 0; i < mine.count; i++) {
        const struct gpu_usage_process *old =
            usage_rows_find(&nvml->counted, index, mine.row[i].pid);
        mine.row[i].busy_ns = old ? old->busy_ns : 0;
    }
    count_busy(nvml, index, &mine);
    for (size_t i = 0; !r && i < mine.count; i++)
        r = usage_rows_add(rows, &mine.row[i]);
    usage_rows_free(&mine);
    return r;
}

static void read_device(struct nvml *nvml, uint32_t index, struct usage_device *answer,
                        struct usage_rows *rows)
{
    int r = read_memory(nvml, nvml->device[index].handle, &answer->used_bytes, &answer->free_bytes);
    size_t before = rows->count;

    if (!r && answer->used_bytes > INT64_MAX)
        r = -ERANGE;
    answer->known = !r;
    if (r) {
        answer->used_bytes = answer->free_bytes = 0;
        write_note(nvml, answer->note, "cannot report used memory", r);
        nvml->ready = false; /* it may be another device when it is back */
        return;
    }
    r = read_processes(nvml, index, rows);
    if (r) {
        rows->count = before;
        write_note(nvml, answer->note, "cannot list the processes of the device", r);
    }
}

/* -- the vendor ------------------------------------------------------------------- */

static void sample(void *state, const struct gpu_setup *setup, struct usage_answer *answer,
                   struct usage_rows *rows)
{
    struct nvml *nvml = state;

    if (!prepare(nvml, setup)) {
        memcpy(answer->note, nvml->note, sizeof(answer->note));
        return;
    }
    for (uint32_t i = 0; i < setup->device_count; i++) {
        if (nvml->device[i].handle)
            read_device(nvml, i, &answer->device[i], rows);
    }
    nvml->counted.count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (usage_rows_add(&nvml->counted, &rows->row[i]) < 0)
            break;
    }
}

static int open_state(const struct gpu_setup *setup, void **ret_state)
{
    (void)setup;
    *ret_state = calloc(1, sizeof(struct nvml));
    return *ret_state ? 0 : -ENOMEM;
}

static void survey(const struct gpu_setup *setup, struct gpu_survey *survey)
{
    cuda_survey(setup, survey);
}

static void measure(const struct gpu_setup *setup, struct gpu_survey *survey)
{
    const struct gpu_vendor self = {.open = open_state, .sample = sample};
    cuda_measure(setup, &self, survey);
}

const struct gpu_vendor gpu_nvml = {
    .name = "nvml",
    .help = "NVIDIA: the management library of the driver, opened at run time",
    .probe = nvml_devices_probe,
    .open = open_state,
    .sample = sample,
    .overhead_bytes = OVERHEAD_BYTES,
    .rows_outlive = true,
    .survey = survey,
    .measure = measure,
    .checkpoint = cuda_checkpoint,
    .nodes = nvml_nodes,
    .reopened = nvml_nodes_reopened,
    .changes_nodes = nvml_changes_nodes};
