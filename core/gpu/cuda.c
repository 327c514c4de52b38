/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ask CUDA's driver library what a context takes; see cuda.h. A context is made with no kernel in
 * it, for as long as the management library needs to report it, and only on a device where that
 * disturbs no program: with room for it, and open to several processes at a time.
 */
#include "cuda.h"

#include "cuda_names.h"
#include "identity.h"
#include "usage_rows.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CUDA_LIBRARY "libcuda.so.1"

#define ROOM_BYTES   (UINT64_C(1) << 30) /* at least twice what a context takes */
#define COMPUTE_MODE 20                  /* CU_DEVICE_ATTRIBUTE_COMPUTE_MODE; 0: default */

struct cuda {
    int (*init)(unsigned);
    int (*device_count)(int *);
    int (*device_uuid)(char *, int);
    int (*device_total)(size_t *, int);
    int (*device_attribute)(int *, int, int);
    int (*context_retain)(void **, int);
    int (*context_release)(int);
};

/* Copy the pointer: C has no conversion from void * to a function pointer. */
static bool find(void *handle, void *function, const char *name)
{
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, sizeof(symbol));
    return symbol;
}

static bool find_functions(void *handle, struct cuda *cuda)
{
    return find(handle, &cuda->init, "cuInit") &&
           find(handle, &cuda->device_count, "cuDeviceGetCount") &&
           (find(handle, &cuda->device_uuid, "cuDeviceGetUuid_v2") ||
            find(handle, &cuda->device_uuid, "cuDeviceGetUuid")) &&
           find(handle, &cuda->device_total, "cuDeviceTotalMem_v2") &&
           find(handle, &cuda->device_attribute, "cuDeviceGetAttribute") &&
           find(handle, &cuda->context_retain, "cuDevicePrimaryCtxRetain") &&
           (find(handle, &cuda->context_release, "cuDevicePrimaryCtxRelease_v2") ||
            find(handle, &cuda->context_release, "cuDevicePrimaryCtxRelease"));
}

/* Return NULL if the driver is not here or lacks a function. */
static void *open_library(struct cuda *cuda)
{
    void *handle = dlopen(CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    return handle && find_functions(handle, cuda) ? handle : NULL;
}

/* -- contexts ------------------------------------------------------------------------- */

struct measurement {
    const struct gpu_setup *setup;
    const struct cuda *cuda;
    struct gpu_survey *survey;
    const struct gpu_vendor *nvml;
    void *nvml_state;
    struct usage_answer usage;
};

/* Return the index in the setup of a device, or -1. */
static int index_of(const struct measurement *measurement, int device)
{
    unsigned char bytes[16];
    char text[64] = "GPU-";
    if (measurement->cuda->device_uuid((char *)bytes, device))
        return -1;
    for (unsigned i = 0; i < sizeof(bytes); i++)
        snprintf(text + 4 + 2 * i, 3, "%02x", bytes[i]);
    for (uint32_t i = 0; i < measurement->setup->device_count; i++)
        if (measurement->setup->device[i].uuid[0] &&
            gpu_same_uuid(measurement->setup->device[i].uuid, text))
            return (int)i;
    return -1;
}

/* Ask the management library. *ret_own: what this process has there; 0: nothing. */
static bool look(struct measurement *measurement, uint32_t index, uint64_t *ret_used,
                 uint64_t *ret_own)
{
    struct usage_rows rows = {0};
    memset(&measurement->usage, 0, sizeof(measurement->usage));
    measurement->nvml->sample(measurement->nvml_state, measurement->setup, &measurement->usage,
                              &rows);
    *ret_used = measurement->usage.device[index].used_bytes;
    *ret_own = 0;
    for (size_t i = 0; i < rows.count; i++)
        if (rows.row[i].device == index && rows.row[i].pid == getpid() &&
            rows.row[i].memory_bytes != GPU_BYTES_UNKNOWN)
            *ret_own = rows.row[i].memory_bytes;
    usage_rows_free(&rows);
    return measurement->usage.device[index].known;
}

static void measure(struct measurement *measurement, int device, uint32_t index)
{
    const struct cuda *cuda = measurement->cuda;
    uint64_t used, before, own = 0;
    size_t total;
    int mode;
    void *context;
    if (cuda->device_total(&total, device) || cuda->device_attribute(&mode, COMPUTE_MODE, device) ||
        mode != 0 || !look(measurement, index, &used, &before) || used > total ||
        total - used < ROOM_BYTES || cuda->context_retain(&context, device))
        return;
    if (look(measurement, index, &used, &own) && own > before)
        measurement->survey->context_bytes[index] = own - before;
    cuda->context_release(device);
}

/* Show the driver only these devices: it opens every one that it sees. */
static bool show_devices(const struct gpu_setup *setup)
{
    char list[8192] = "";
    size_t length = 0;
    for (uint32_t i = 0; i < setup->device_count; i++) {
        const char *uuid = setup->device[i].uuid;
        if (!uuid[0] || gpu_is_part(uuid) || length + sizeof(setup->device[i].uuid) > sizeof(list))
            continue;
        length +=
            (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", length ? "," : "", uuid);
    }
    return length > 0 && setenv("CUDA_VISIBLE_DEVICES", list, 1) == 0;
}

void cuda_measure(const struct gpu_setup *setup, const struct gpu_vendor *nvml,
                  struct gpu_survey *survey)
{
    struct measurement *measurement = calloc(1, sizeof(*measurement));
    struct cuda cuda;
    int count = 0;
    if (!measurement || !survey->has_driver || !open_library(&cuda) || !show_devices(setup) ||
        nvml->open(setup, &measurement->nvml_state)) {
        free(measurement);
        return;
    }
    measurement->setup = setup;
    measurement->cuda = &cuda;
    measurement->nvml = nvml;
    measurement->survey = survey;
    if (cuda.init(0) == 0 && cuda.device_count(&count) == 0)
        for (int i = 0; i < count; i++) {
            int index = index_of(measurement, i);
            if (index >= 0)
                measure(measurement, i, (uint32_t)index);
        }
    free(measurement); /* the process ends soon, with the state of the vendor */
}

/* -- functions ----------------------------------------------------------------------------- */

/* Driver 615 and later can limit the memory of a cgroup by itself. */
static bool has_limits(void)
{
    void *handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    return handle && dlsym(handle, "nvmlDeviceSetMemoryLimits");
}

void cuda_survey(const struct gpu_setup *setup, struct gpu_survey *survey)
{
    struct cuda cuda;
    Dl_info file;
    void *handle = open_library(&cuda);
    survey->has_limits = has_limits();
    survey->has_driver = handle ? 1 : 0;
    if (!survey->has_driver)
        return;
    void *init = dlsym(handle, "cuInit");
    if (!dladdr(init, &file) ||
        cuda_names_unknown(file.dli_fname, setup->layer, survey->unknown, sizeof(survey->unknown)))
        snprintf(survey->note, sizeof(survey->note),
                 "The functions of " CUDA_LIBRARY " cannot be compared with those that are known.");
}
