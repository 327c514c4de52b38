/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libnvidia-ml.so.1 that says what a file tells it to say, and misbehaves as it is
 * told: for the tests of the usage reader, and for cases on a mounted tree. Installed nowhere.
 * With its directory in LD_LIBRARY_PATH and the file's path in CHRONOS_FAKE_NVML it is
 * found instead of NVIDIA's:
 *
 *     LD_LIBRARY_PATH=build/tests/fake_nvml CHRONOS_FAKE_NVML=/tmp/gpus chronosfs ...
 *
 * The file is read again at each call, so what it says can change at any time; write it
 * under another name and rename it. A line each, words between single blanks:
 *
 *     device UUID PCI USED [TOTAL]  a device ("-" for no uuid or pci), its used bytes and its
 *                                   bytes (1 TiB); with --simulate the devices are SIM-0, ...
 *     split                         the device of the line before is in MIG mode
 *     part UUID TOTAL [USED]        and has this instance; processes that follow use it
 *     reserved N                    the driver keeps N bytes of each device for itself
 *     process PID BYTES UTIL LISTS  uses the device of the line before: bytes ("-": not
 *                                   available), busy percent, and where it is listed:
 *                                   letters of c(ompute) g(raphics) m(ps), "c" if left out
 *     cuda DIR                      and what processes have that use tests/fake_cuda with this
 *                                   directory
 *     sums                          the used bytes of a device include what these have
 *     hang CALL                     for ever; SIGTERM does not help; makes the file PATH.hangs
 *     crash CALL                    SIGSEGV
 *     exit CALL STATUS
 *     fail CALL CODE                returns NVML's error CODE
 *     print CALL                    chatters on stdout and stderr, then does its work
 *     breed CALL                    leaves a process behind that never ends
 *     slow CALL MILLISECONDS
 *     many N                        the list of compute processes has N rows more: pids from
 *                                   100001 on with 1 MiB each
 *     claim N                       it says that it has N rows, at the question for the size
 *     grow                          it has a row more at each call
 *
 * A process that has memory of the CUDA driver of the tests (fake_cuda) is listed by itself, too.
 *
 * CALL: init count handle uuid pci memory name compute graphics mps utilization. Without the
 * file the driver "is not loaded". Built with FAKE_OLD it has the calls of an old driver
 * only: no _v2 or _v3 of the lists and of the memory.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

enum { SUCCESS = 0, INVALID = 2, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

struct memory {
    unsigned long long total, free, used;
};
struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};
struct pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
struct process_v1 {
    unsigned pid;
    unsigned long long used;
};
struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};
struct sample {
    unsigned pid;
    unsigned long long time_us;
    unsigned sm, memory, encoder, decoder;
};

/* The content of the file, as far as one call needs it. */
#define DEVICES 1024
struct line_device {
    char uuid[96], pci[32];
    unsigned long long used, total;
};

API int nvmlInit_v2(void);
API int nvmlDeviceGetCount_v2(unsigned *count);
API int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle);
API int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned size);
API int nvmlDeviceGetPciInfo_v3(void *handle, struct pci *pci);
API int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory);
API int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_v2 *memory);
API int nvmlDeviceGetName(void *handle, char *name, unsigned size);
API int nvmlSystemGetDriverVersion(char *version, unsigned size);
API int nvmlSystemGetCudaDriverVersion_v2(int *version);
API int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending);
API int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count);
API int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **part);
API int nvmlDeviceGetComputeRunningProcesses(void *handle, unsigned *count, void *rows);
API int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *rows);
API int nvmlDeviceGetGraphicsRunningProcesses(void *handle, unsigned *count, void *rows);
API int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, void *rows);
API int nvmlDeviceGetMPSComputeRunningProcesses(void *handle, unsigned *count, void *rows);
API int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *handle, unsigned *count, void *rows);
API int nvmlDeviceGetProcessUtilization(void *handle, struct sample *samples, unsigned *count,
                                        unsigned long long since_us);
API const char *nvmlErrorString(int code);

static FILE *open_file(void)
{
    const char *path = getenv("CHRONOS_FAKE_NVML");
    return path ? fopen(path, "re") : NULL;
}

/* -- misbehaving -------------------------------------------------------------------- */

static _Noreturn void hang(void)
{
    signal(SIGTERM, SIG_IGN);
    for (;;)
        pause();
}

/* From here on only time can pass. */
static void say_hanging(void)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s.hangs", getenv("CHRONOS_FAKE_NVML"));
    FILE *file = fopen(path, "we");
    if (file)
        fclose(file);
}

static void chatter(void)
{
    for (int i = 0; i < 20000; i++) {
        if (write(1, "the driver chatters\n", 20) != 20 || write(2, "the driver nags\n", 16) != 16)
            return;
    }
}

static int act(const char *what, int number)
{
    if (strcmp(what, "hang") == 0) {
        say_hanging();
        hang();
    }
    if (strcmp(what, "crash") == 0)
        signal(SIGSEGV, SIG_DFL), raise(SIGSEGV); /* no handler of a sanitizer */
    if (strcmp(what, "exit") == 0)
        _exit(number);
    if (strcmp(what, "print") == 0)
        chatter();
    if (strcmp(what, "slow") == 0)
        usleep((unsigned)number * 1000);
    if (strcmp(what, "breed") == 0 && fork() == 0)
        hang();
    return strcmp(what, "fail") == 0 ? number : SUCCESS;
}

/* Acts as the file says for this call. Returns the result of the call. */
static int behave(const char *call)
{
    FILE *file = open_file();
    char line[512], what[16], where[16];
    int number, r = SUCCESS;

    while (file && r == SUCCESS && fgets(line, sizeof(line), file)) {
        number = 0;
        if (sscanf(line, "%15s %15s %d", what, where, &number) >= 2 && strcmp(where, call) == 0)
            r = act(what, number);
    }
    if (!file)
        return DRIVER_NOT_LOADED;
    fclose(file);
    return r;
}

/* Returns the number after `word` on a line of its own, or -1. */
static long long setting(const char *word)
{
    FILE *file = open_file();
    char line[512], what[16];
    long long number, found = -1;

    while (file && fgets(line, sizeof(line), file)) {
        number = 0;
        if (sscanf(line, "%15s %lld", what, &number) >= 1 && strcmp(what, word) == 0)
            found = number;
    }
    if (file)
        fclose(file);
    return found;
}

/* -- devices ------------------------------------------------------------------------ */

static unsigned read_devices(struct line_device *devices)
{
    FILE *file = open_file();
    char line[512];
    unsigned count = 0;

    while (file && count < DEVICES && fgets(line, sizeof(line), file)) {
        struct line_device *d = &devices[count];
        d->total = 1ull << 40;
        if (sscanf(line, "device %95s %31s %llu %llu", d->uuid, d->pci, &d->used, &d->total) >= 3)
            count++;
    }
    if (file)
        fclose(file);
    return count;
}

/* Reads the parts of a device. Returns how many there are, or -1 if it is not split. */
static int read_split(unsigned index, struct line_device *parts)
{
    FILE *file = open_file();
    char line[512];
    int count = -1, device = -1;

    while (file && count < DEVICES && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "device ", 7) == 0)
            device++;
        if (device != (int)index)
            continue;
        if (strcmp(line, "split\n") == 0)
            count = 0;
        struct line_device *d = &parts[count > 0 ? count : 0];
        d->used = 0;
        if (sscanf(line, "part %95s %llu %llu", d->uuid, &d->total, &d->used) >= 2)
            strcpy(d->pci, "-"), count++;
    }
    if (file)
        fclose(file);
    return count;
}

/* A handle is the number of the device, and above that of its part, both from 1 on. */
static unsigned index_of(void *handle)
{
    return ((unsigned)(uintptr_t)handle & 0xffff) - 1;
}

static unsigned part_of(void *handle)
{
    return (unsigned)(uintptr_t)handle >> 16;
}

static bool find_device(void *handle, struct line_device *ret)
{
    static struct line_device devices[DEVICES];
    unsigned index = index_of(handle), part = part_of(handle);
    if (part > 0) {
        if (read_split(index, devices) < (int)part)
            return false;
        *ret = devices[part - 1];
        return true;
    }
    unsigned count = read_devices(devices);
    if (index < count)
        *ret = devices[index];
    return index < count;
}

int nvmlInit_v2(void)
{
    return behave("init");
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    static struct line_device devices[DEVICES];
    *count = read_devices(devices);
    return behave("count");
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    *handle = (void *)(uintptr_t)(index + 1);
    return behave("handle");
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned size)
{
    struct line_device device;
    if (!find_device(handle, &device))
        return INVALID;
    snprintf(uuid, size, "%s", strcmp(device.uuid, "-") == 0 ? "" : device.uuid);
    return behave("uuid");
}

int nvmlDeviceGetPciInfo_v3(void *handle, struct pci *pci)
{
    struct line_device device;
    if (!find_device(handle, &device))
        return INVALID;
    memset(pci, 0, sizeof(*pci));
    snprintf(pci->bus_id, sizeof(pci->bus_id), "%s",
             strcmp(device.pci, "-") == 0 ? "" : device.pci);
    return behave("pci");
}

static unsigned long long summed(void *handle);

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory)
{
    struct line_device device;
    if (!find_device(handle, &device))
        return INVALID;
    device.used += summed(handle);
    *memory = (struct memory){
        .total = device.total, .free = device.total - device.used, .used = device.used};
    return behave("memory");
}

#ifndef FAKE_OLD
int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_v2 *memory)
{
    struct line_device device;
    if (!find_device(handle, &device) || memory->version != (sizeof(*memory) | 2u << 24))
        return INVALID;
    long long reserved = setting("reserved");
    device.used += summed(handle);
    memory->total = device.total;
    memory->reserved = reserved > 0 ? (unsigned long long)reserved : 0;
    memory->used = device.used;
    memory->free = device.total - device.used - memory->reserved;
    return behave("memory");
}
#endif

int nvmlDeviceGetName(void *handle, char *name, unsigned size)
{
    snprintf(name, size, "NVIDIA Made-Up%s", part_of(handle) > 0 ? " MIG 1g" : "");
    return behave("name");
}

int nvmlSystemGetDriverVersion(char *version, unsigned size)
{
    snprintf(version, size, "580.159");
    return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    *version = 13010;
    return SUCCESS;
}

#ifndef FAKE_OLD
int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    static struct line_device parts[DEVICES + 1];
    *pending = *current = read_split(index_of(handle), parts) >= 0;
    return SUCCESS;
}

/* Like the real one: the number that there can be, with gaps. */
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count)
{
    (void)handle;
    *count = 7;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **part)
{
    static struct line_device parts[DEVICES + 1];
    int count = read_split(index_of(handle), parts);
    if (index % 2 || (int)index / 2 >= count)
        return NOT_FOUND;
    *part = (void *)((uintptr_t)handle | (uintptr_t)(index / 2 + 1) << 16);
    return SUCCESS;
}
#endif

/* -- processes ------------------------------------------------------------------------ */

/* The rows of one device in one list. */
struct rows {
    struct sample *row; /* `encoder` is a flag: the bytes are not available */
    unsigned long long *bytes;
    unsigned count, room;
};

static void add_row(struct rows *rows, unsigned pid, unsigned long long bytes, unsigned util)
{
    if (rows->count == rows->room) {
        rows->room = rows->room * 2 + 64;
        rows->row = realloc(rows->row, rows->room * sizeof(*rows->row));
        rows->bytes = realloc(rows->bytes, rows->room * sizeof(*rows->bytes));
        if (!rows->row || !rows->bytes)
            abort();
    }
    rows->row[rows->count] = (struct sample){.pid = pid, .sm = util};
    rows->bytes[rows->count++] = bytes;
}

static void free_rows(struct rows *rows)
{
    free(rows->row);
    free(rows->bytes);
}

/* Add the processes that have something of this device by tests/fake_cuda, while they are there. */
static void add_cuda(const char *path, unsigned device, struct rows *rows)
{
    unsigned long long bytes[8];
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        char name[4096];
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        unsigned pid = (unsigned)strtoul(entry->d_name, NULL, 10);
        FILE *file = pid > 0 && kill((pid_t)pid, 0) == 0 ? fopen(name, "re") : NULL;
        if (file && fread(bytes, sizeof(bytes), 1, file) == 1 && device < 8 && bytes[device] > 0)
            add_row(rows, pid, bytes[device], 0);
        if (file)
            fclose(file);
    }
    if (directory)
        closedir(directory);
}

/* The CUDA driver of the tests, in this process, has taken memory of the device. */
static void add_own(void *handle, struct rows *rows)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    uint64_t (*taken)(int) = NULL;
    void *symbol = driver ? dlsym(driver, "fake_cuda_taken") : NULL;
    memcpy(&taken, &symbol, sizeof(taken));
    if (taken && part_of(handle) == 0 && taken((int)index_of(handle)) > 0)
        add_row(rows, (unsigned)getpid(), taken((int)index_of(handle)), 0);
}

/* `list`: c, g or m; 0: all of them. */
static void read_rows(void *handle, char list, struct rows *rows)
{
    FILE *file = open_file();
    char line[512], bytes[32], lists[8];
    int device = -1;
    unsigned part = 0;

    while (file && fgets(line, sizeof(line), file)) {
        unsigned pid, util = 0;
        char path[256];
        if (part_of(handle) == 0 && list != 'g' && list != 'm' &&
            sscanf(line, "cuda %255s", path) == 1)
            add_cuda(path, index_of(handle), rows);
        strcpy(lists, "c");
        if (strncmp(line, "device ", 7) == 0)
            device++, part = 0;
        if (strncmp(line, "part ", 5) == 0)
            part++;
        if (device != (int)index_of(handle) || (part_of(handle) > 0 && part_of(handle) != part) ||
            sscanf(line, "process %u %31s %u %7s", &pid, bytes, &util, lists) < 2)
            continue;
        if (list == '\0' || strchr(lists, list))
            add_row(rows, pid, bytes[0] == '-' ? ~0ull : strtoull(bytes, NULL, 10), util);
    }
    if (file)
        fclose(file);
    if (list != 'g' && list != 'm')
        add_own(handle, rows);
}

/* What the processes of `cuda` have, where `sums` says that it counts. */
static unsigned long long summed(void *handle)
{
    struct rows rows = {0};
    unsigned long long bytes = 0;
    FILE *file = setting("sums") >= 0 && part_of(handle) == 0 ? open_file() : NULL;
    char line[512], path[256];
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "cuda %255s", path) == 1)
            add_cuda(path, index_of(handle), &rows);
    if (file)
        fclose(file);
    for (unsigned i = 0; i < rows.count; i++)
        bytes += rows.bytes[i];
    free_rows(&rows);
    return bytes;
}

static void add_made_up(struct rows *rows)
{
    static unsigned grown;
    long long many = setting("many");
    if (setting("grow") >= 0)
        many = (many > 0 ? many : 0) + 50 * ++grown;
    for (long long i = 0; i < many; i++)
        add_row(rows, (unsigned)(100001 + i), 1 << 20, 1);
}

static int tell_list(void *handle, const char *call, unsigned *count, void *into, bool v1)
{
    struct rows rows = {0};
    int r = behave(call);

    read_rows(handle, call[0], &rows);
    if (call[0] == 'c')
        add_made_up(&rows);
    unsigned room = *count;
    *count = rows.count;
    if (room == 0 && call[0] == 'c' && setting("claim") >= 0)
        *count = (unsigned)setting("claim");
    if (r == SUCCESS && *count > room)
        r = INSUFFICIENT_SIZE;
    for (unsigned i = 0; r == SUCCESS && i < rows.count; i++) {
        if (v1)
            ((struct process_v1 *)into)[i] = (struct process_v1){rows.row[i].pid, rows.bytes[i]};
        else
            ((struct process *)into)[i] = (struct process){
                .pid = rows.row[i].pid, .used = rows.bytes[i], .gpu_instance = ~0u};
    }
    free_rows(&rows);
    return r;
}

#ifdef FAKE_OLD
int nvmlDeviceGetComputeRunningProcesses(void *handle, unsigned *count, void *rows)
{
    return tell_list(handle, "compute", count, rows, true);
}
int nvmlDeviceGetGraphicsRunningProcesses(void *handle, unsigned *count, void *rows)
{
    return tell_list(handle, "graphics", count, rows, true);
}
int nvmlDeviceGetMPSComputeRunningProcesses(void *handle, unsigned *count, void *rows)
{
    return tell_list(handle, "mps", count, rows, true);
}
#else
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *rows)
{
    return tell_list(handle, "compute", count, rows, false);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, void *rows)
{
    return tell_list(handle, "graphics", count, rows, false);
}
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *handle, unsigned *count, void *rows)
{
    return tell_list(handle, "mps", count, rows, false);
}
#endif

/* Like the real one: wants room for many, and has one sample for each busy process. */
int nvmlDeviceGetProcessUtilization(void *handle, struct sample *samples, unsigned *count,
                                    unsigned long long since_us)
{
    struct timespec now;
    struct rows rows = {0};
    unsigned told = 0, room = *count;
    int r = behave("utilization");

    clock_gettime(CLOCK_REALTIME, &now);
    unsigned long long now_us =
        (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
    read_rows(handle, '\0', &rows);
    *count = rows.count + 72;
    if (r == SUCCESS && (!samples || room < *count))
        r = INSUFFICIENT_SIZE;
    for (unsigned i = 0; r == SUCCESS && i < rows.count; i++) {
        if (rows.row[i].sm == 0 || now_us <= since_us)
            continue;
        samples[told] = rows.row[i];
        samples[told++].time_us = now_us;
    }
    if (r == SUCCESS)
        *count = told;
    free_rows(&rows);
    return r == SUCCESS && told == 0 ? NOT_FOUND : r;
}

const char *nvmlErrorString(int code)
{
    return code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "A Made Up\nError";
}
