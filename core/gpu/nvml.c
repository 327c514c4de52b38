/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's devices, as the management library of their driver (NVML) tells. It is
 * opened at run time and declared here, so nothing of it is needed to build. Called in
 * the usage reader process only: whatever the library does, it does it there. The pids that it
 * tells were those of the caller's own pid namespace on the machines tried.
 *
 * A device that is split (MIG) is told as a whole.
 */
#include "usage_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NVML_NOT_SUPPORTED     3
#define NVML_INSUFFICIENT_SIZE 7
#define NVML_DRIVER_NOT_LOADED 9

#define DEVICES_MOST   256
#define PROCESSES_MOST 65536u    /* more than that is not believed */
#define TRIES          5         /* the list may grow while it is asked for */
#define BUFFER_US      10000000u /* the driver remembers about 12 s */
#define LATE_US        1000000u  /* it tells once a second */

typedef void *nvml_device;

struct nvml_memory {
    unsigned long long total, free, used;
};
struct nvml_memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};
struct nvml_pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
struct nvml_process_v1 {
    unsigned pid;
    unsigned long long used;
};
struct nvml_process { /* of _v2 and _v3 */
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};
struct nvml_utilization {
    unsigned pid;
    unsigned long long time_us;
    unsigned sm, memory, encoder, decoder; /* percent */
};

typedef int list_fn(nvml_device, unsigned *count, void *rows);

/* A list of processes; there are three of them, each in several versions. */
struct list {
    list_fn *ask;
    bool v1;
};
#define LISTS 3

struct library {
    int (*init)(void);
    int (*device_count)(unsigned *);
    int (*device_by_index)(unsigned, nvml_device *);
    int (*uuid)(nvml_device, char *, unsigned);
    int (*pci)(nvml_device, struct nvml_pci *);
    int (*memory)(nvml_device, struct nvml_memory *);
    int (*memory_v2)(nvml_device, struct nvml_memory_v2 *);
    int (*utilization)(nvml_device, struct nvml_utilization *, unsigned *, unsigned long long);
    const char *(*error)(int);
    struct list list[LISTS];
};

struct device {
    nvml_device handle;         /* NULL: not one of NVIDIA's */
    unsigned long long seen_us; /* up to when its use was counted; 0: never */
};

struct nvml {
    struct library library;
    bool loaded, ready;
    int64_t retry_ns;
    char note[192];
    struct device device[GPU_DEVICE_MAX]; /* as in the hello */
    struct usage_rows counted;            /* busy_ns so far */
};

/* -- the library ------------------------------------------------------------------ */

#define NOTE_MAX sizeof(((struct usage_answer *)NULL)->note)

/* Says what went wrong; `code` is NVML's, or negative: a number of errno. One line,
 * whatever the driver's text is. */
static void say(const struct nvml *nvml, char *note, const char *what, int code)
{
    const char *text = NULL;
    if (code == -E2BIG)
        text = "it names more processes than there can be";
    else if (code == -ERANGE)
        text = "its figure cannot be true";
    else if (code < 0)
        text = strerror(-code);
    else if (nvml->library.error != NULL)
        text = nvml->library.error(code);
    int length = snprintf(note, NOTE_MAX, "the NVIDIA driver %.48s: %.80s", what,
                          text != NULL ? text : "it does not say why");
    if (code > 0)
        snprintf(note + length, NOTE_MAX - (size_t)length, " (NVML error %d)", code);
    for (char *c = note; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

/* dlsym gives void *, and C has no way to make a function of it but this one. */
static bool find(void *handle, void *function, const char *name)
{
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static void find_lists(struct library *library, void *handle)
{
    static const char *const names[LISTS] = {"nvmlDeviceGetComputeRunningProcesses",
                                             "nvmlDeviceGetGraphicsRunningProcesses",
                                             "nvmlDeviceGetMPSComputeRunningProcesses"};
    for (size_t i = 0; i < LISTS; i++) {
        char name[64];
        struct list *list = &library->list[i];
        for (int version = 3; version >= 2 && list->ask == NULL; version--) {
            snprintf(name, sizeof(name), "%s_v%d", names[i], version);
            find(handle, &list->ask, name);
        }
        if (list->ask == NULL)
            list->v1 = find(handle, &list->ask, names[i]);
    }
}

/* False: there is none, or one that is too old, which has a note. */
static bool load(struct nvml *nvml, const char *name)
{
    struct library *library = &nvml->library;
    if (nvml->loaded)
        return true;
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return false;
    memset(library, 0, sizeof(*library));
    find(handle, &library->error, "nvmlErrorString");
    find(handle, &library->memory_v2, "nvmlDeviceGetMemoryInfo_v2");
    find(handle, &library->utilization, "nvmlDeviceGetProcessUtilization");
    find_lists(library, handle);
    nvml->loaded = find(handle, &library->init, "nvmlInit_v2") &&
                   find(handle, &library->device_count, "nvmlDeviceGetCount_v2") &&
                   find(handle, &library->device_by_index, "nvmlDeviceGetHandleByIndex_v2") &&
                   find(handle, &library->uuid, "nvmlDeviceGetUUID") &&
                   (find(handle, &library->pci, "nvmlDeviceGetPciInfo_v3") ||
                    find(handle, &library->pci, "nvmlDeviceGetPciInfo_v2")) &&
                   find(handle, &library->memory, "nvmlDeviceGetMemoryInfo");
    if (!nvml->loaded) {
        snprintf(nvml->note, sizeof(nvml->note), "%.64s is too old to tell usage", name);
        dlclose(handle);
    }
    return nvml->loaded;
}

/* 0 or NVML's code. A device that cannot be named is left out. */
static int find_devices(struct nvml *nvml, const struct usage_hello *hello)
{
    unsigned count = 0;
    int rc = nvml->library.device_count(&count);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < GPU_DEVICE_MAX; i++)
        nvml->device[i].handle = NULL;
    for (unsigned i = 0; i < count && i < DEVICES_MOST; i++) {
        char uuid[96] = "";
        struct nvml_pci pci = {0};
        nvml_device handle = NULL;
        if (nvml->library.device_by_index(i, &handle) != 0)
            continue;
        if (nvml->library.uuid(handle, uuid, sizeof(uuid)) != 0)
            uuid[0] = '\0';
        if (nvml->library.pci(handle, &pci) != 0)
            pci.bus_id[0] = '\0';
        uuid[sizeof(uuid) - 1] = pci.bus_id[sizeof(pci.bus_id) - 1] = '\0';
        int index = usage_match(hello, uuid, pci.bus_id);
        if (index >= 0)
            nvml->device[index].handle = handle;
    }
    return 0;
}

/* Makes the library ready. What failed is tried again after a while only: trying may
 * load kernel modules. */
static bool prepare(struct nvml *nvml, const struct usage_hello *hello)
{
    int64_t now_ns = usage_now_ns();
    if (nvml->ready)
        return true;
    if (now_ns < nvml->retry_ns)
        return false;
    nvml->note[0] = '\0';
    if (!load(nvml, hello->nvml))
        return false;
    int rc = nvml->library.init();
    if (rc != 0 && rc != NVML_DRIVER_NOT_LOADED)
        say(nvml, nvml->note, "does not start", rc);
    if (rc == 0 && (rc = find_devices(nvml, hello)) != 0)
        say(nvml, nvml->note, "does not tell its devices", rc);
    nvml->ready = rc == 0;
    if (rc != 0)
        nvml->retry_ns = now_ns + hello->retry_ms * INT64_C(1000000);
    return nvml->ready;
}

/* -- one device ------------------------------------------------------------------- */

static int read_memory(const struct nvml *nvml, nvml_device handle, uint64_t *ret_used)
{
    struct nvml_memory_v2 second = {.version = (unsigned)sizeof(second) | 2u << 24};
    struct nvml_memory first = {0};

    /* The second version does not count what the driver keeps from everybody. */
    if (nvml->library.memory_v2 != NULL && nvml->library.memory_v2(handle, &second) == 0) {
        *ret_used = second.used;
        return 0;
    }
    int rc = nvml->library.memory(handle, &first);
    *ret_used = first.used;
    return rc;
}

static int add_process(struct usage_rows *rows, uint32_t device, unsigned pid,
                       unsigned long long used)
{
    struct gpu_usage_process row = {.pid = (int32_t)pid, .device = device, .memory_bytes = used};
    if (pid == 0 || pid > INT32_MAX)
        return 0;
    if (used > INT64_MAX) /* ~0 is "not available", and no other can be true */
        row.memory_bytes = GPU_BYTES_UNKNOWN;
    return usage_rows_add(rows, &row);
}

/* Asks until the list fits. NVML's code, or -ENOMEM, or -E2BIG. *ret is the caller's. */
static int fetch_list(const struct list *list, nvml_device handle, void **ret, unsigned *ret_count)
{
    size_t size = list->v1 ? sizeof(struct nvml_process_v1) : sizeof(struct nvml_process);
    unsigned room = 0, count = 0;
    int rc = list->ask(handle, &count, NULL);

    *ret = NULL;
    for (int i = 0; i < TRIES && rc == NVML_INSUFFICIENT_SIZE; i++) {
        if (count > PROCESSES_MOST)
            return -E2BIG;
        room = count + count / 4 + 16;
        free(*ret);
        *ret = calloc(room, size);
        if (*ret == NULL)
            return -ENOMEM;
        count = room;
        rc = list->ask(handle, &count, *ret);
    }
    *ret_count = count < room ? count : room;
    return rc;
}

/* In one list a process has a row for each part of a split device; the lists tell the
 * same thing again. */
static int read_list(const struct nvml *nvml, const struct list *list, uint32_t device,
                     struct usage_rows *rows)
{
    struct usage_rows mine = {0};
    unsigned count = 0;
    void *raw = NULL;
    int rc = list->ask != NULL ? fetch_list(list, nvml->device[device].handle, &raw, &count)
                               : NVML_NOT_SUPPORTED;

    for (unsigned i = 0; rc == 0 && i < count; i++) {
        const struct nvml_process_v1 *v1 = raw;
        const struct nvml_process *v3 = raw;
        rc = list->v1 ? add_process(&mine, device, v1[i].pid, v1[i].used)
                      : add_process(&mine, device, v3[i].pid, v3[i].used);
    }
    free(raw);
    usage_rows_merge(&mine, USAGE_SUM);
    for (size_t i = 0; rc == 0 && i < mine.count; i++)
        rc = usage_rows_add(rows, &mine.row[i]);
    usage_rows_free(&mine);
    return rc == NVML_NOT_SUPPORTED ? 0 : rc;
}

static unsigned long long wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

/* The samples since the last time; the caller frees them. None is no error. */
static struct nvml_utilization *fetch_samples(const struct nvml *nvml, const struct device *device,
                                              unsigned *ret_count)
{
    struct nvml_utilization *samples;
    unsigned count = 0, room;

    *ret_count = 0;
    if (nvml->library.utilization == NULL ||
        nvml->library.utilization(device->handle, NULL, &count, device->seen_us) !=
            NVML_INSUFFICIENT_SIZE ||
        count == 0 || count > PROCESSES_MOST)
        return NULL;
    room = count;
    samples = calloc(room, sizeof(*samples));
    if (samples != NULL &&
        nvml->library.utilization(device->handle, samples, &count, device->seen_us) == 0)
        *ret_count = count < room ? count : room;
    return samples;
}

/* What was seen up to; the driver's clock is the wall clock, which can be set back. */
static unsigned long long newest(const struct nvml_utilization *samples, unsigned count,
                                 unsigned long long seen_us)
{
    unsigned long long now_us = wall_us(), newest_us = 0;
    for (unsigned i = 0; i < count; i++) {
        if (samples[i].time_us > newest_us)
            newest_us = samples[i].time_us;
    }
    /* Nothing ran: what did until a second ago would be told by now. */
    if (newest_us == 0)
        newest_us = seen_us > now_us - LATE_US ? seen_us : now_us - LATE_US;
    return newest_us < now_us ? newest_us : now_us;
}

/* Adds what each process was busy since the last time. A sample is the mean of all the
 * time from then to the newest sample of any process, not to its own (tried: an H200,
 * driver 580). See meter.h for what it is worth. */
static void count_busy(struct nvml *nvml, uint32_t index, struct usage_rows *rows)
{
    struct device *device = &nvml->device[index];
    unsigned count;
    struct nvml_utilization *samples = fetch_samples(nvml, device, &count);
    unsigned long long newest_us = newest(samples, count, device->seen_us);
    unsigned long long new_us = newest_us > device->seen_us ? newest_us - device->seen_us : 0;

    if (device->seen_us == 0)
        new_us = 0; /* the first time: nothing to count from */
    if (new_us > BUFFER_US)
        new_us = BUFFER_US;
    for (unsigned i = 0; i < count; i++) {
        struct gpu_usage_process *row =
            usage_rows_find(rows, index, samples[i].pid <= INT32_MAX ? (int32_t)samples[i].pid : 0);
        if (row != NULL && samples[i].sm <= 100)
            row->busy_ns += new_us * 10 * samples[i].sm; /* a percent of a us is 10 ns */
    }
    device->seen_us = newest_us;
    free(samples);
}

static int read_processes(struct nvml *nvml, uint32_t index, struct usage_rows *rows)
{
    struct usage_rows mine = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < LISTS; i++)
        rc = read_list(nvml, &nvml->library.list[i], index, &mine);
    usage_rows_merge(&mine, USAGE_MAX);
    for (size_t i = 0; i < mine.count; i++) {
        const struct gpu_usage_process *old =
            usage_rows_find(&nvml->counted, index, mine.row[i].pid);
        mine.row[i].busy_ns = old != NULL ? old->busy_ns : 0;
    }
    count_busy(nvml, index, &mine);
    for (size_t i = 0; rc == 0 && i < mine.count; i++)
        rc = usage_rows_add(rows, &mine.row[i]);
    usage_rows_free(&mine);
    return rc;
}

static void read_device(struct nvml *nvml, uint32_t index, struct usage_device *answer,
                        struct usage_rows *rows)
{
    int rc = read_memory(nvml, nvml->device[index].handle, &answer->used_bytes);
    size_t before = rows->count;

    if (rc == 0 && answer->used_bytes > INT64_MAX)
        rc = -ERANGE;
    answer->known = rc == 0;
    if (rc != 0) {
        answer->used_bytes = 0;
        say(nvml, answer->note, "does not tell what is used", rc);
        nvml->ready = false; /* the device may be another one when it is back */
        return;
    }
    rc = read_processes(nvml, index, rows);
    if (rc != 0) {
        rows->count = before;
        say(nvml, answer->note, "does not tell which processes use the device", rc);
    }
}

/* -- the backend ------------------------------------------------------------------ */

static void sample(void *state, const struct usage_hello *hello, struct usage_answer *answer,
                   struct usage_rows *rows)
{
    struct nvml *nvml = state;

    if (!prepare(nvml, hello)) {
        memcpy(answer->note, nvml->note, sizeof(answer->note));
        return;
    }
    for (uint32_t i = 0; i < hello->device_count; i++) {
        if (nvml->device[i].handle != NULL)
            read_device(nvml, i, &answer->device[i], rows);
    }
    nvml->counted.count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (usage_rows_add(&nvml->counted, &rows->row[i]) < 0)
            break;
    }
}

static int open_state(const struct usage_hello *hello, void **ret_state)
{
    (void)hello;
    *ret_state = calloc(1, sizeof(struct nvml));
    return *ret_state != NULL ? 0 : -ENOMEM;
}

const struct usage_backend usage_nvml = {
    .name = "nvml",
    .help = "NVIDIA: the management library of the driver, opened at run time",
    .open = open_state,
    .sample = sample};
