/* SPDX-License-Identifier: Apache-2.0 */
/* Load NVML and resolve its functions; see nvml_library.h. */
#include "nvml_library.h"

#include "core/base/line.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Copy the pointer: C has no conversion from void * to a function pointer. */
static bool find(void *handle, void *function, const char *name)
{
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, sizeof(symbol));
    return symbol;
}

static void find_lists(struct nvml_library *library, void *handle)
{
    static const char *const names[NVML_LISTS] = {"nvmlDeviceGetComputeRunningProcesses",
                                                  "nvmlDeviceGetGraphicsRunningProcesses",
                                                  "nvmlDeviceGetMPSComputeRunningProcesses"};
    for (size_t i = 0; i < NVML_LISTS; i++) {
        char name[64];
        struct nvml_list *list = &library->list[i];
        for (int version = 3; version >= 2 && !list->ask; version--) {
            snprintf(name, sizeof(name), "%s_v%d", names[i], version);
            find(handle, &list->ask, name);
        }
        if (!list->ask)
            list->v1 = find(handle, &list->ask, names[i]);
    }
}

/* The loader has no code for a missing file, only its text. */
static bool is_missing(const char *error)
{
    return strstr(error, NVML_LIBRARY) && strstr(error, "No such file");
}

static void *load(struct message *message, int *ret_code)
{
    void *handle = dlopen(NVML_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    const char *error = handle ? NULL : dlerror();
    if (error && is_missing(error))
        *ret_code = -ENOENT;
    else if (error)
        *ret_code = message_set(-ELIBBAD, message,
                                "NVIDIA's library cannot be loaded: %.80s; install the driver's "
                                "libraries again.",
                                error);
    return handle;
}

static bool find_functions(struct nvml_library *library, void *handle)
{
    find(handle, &library->error, "nvmlErrorString");
    find(handle, &library->memory_v2, "nvmlDeviceGetMemoryInfo_v2");
    find(handle, &library->utilization, "nvmlDeviceGetProcessUtilization");
    find(handle, &library->name, "nvmlDeviceGetName");
    find(handle, &library->driver_version, "nvmlSystemGetDriverVersion");
    find(handle, &library->cuda_version, "nvmlSystemGetCudaDriverVersion_v2");
    find(handle, &library->mig_mode, "nvmlDeviceGetMigMode");
    find(handle, &library->mig_count, "nvmlDeviceGetMaxMigDeviceCount");
    find(handle, &library->mig_device, "nvmlDeviceGetMigDeviceHandleByIndex");
    find_lists(library, handle);
    return find(handle, &library->init, "nvmlInit_v2") &&
           find(handle, &library->device_count, "nvmlDeviceGetCount_v2") &&
           find(handle, &library->device_by_index, "nvmlDeviceGetHandleByIndex_v2") &&
           find(handle, &library->uuid, "nvmlDeviceGetUUID") &&
           (find(handle, &library->pci, "nvmlDeviceGetPciInfo_v3") ||
            find(handle, &library->pci, "nvmlDeviceGetPciInfo_v2")) &&
           find(handle, &library->memory, "nvmlDeviceGetMemoryInfo");
}

int nvml_library_open(struct nvml_library *ret_library, struct message *message)
{
    struct nvml_library library = {0};
    int r = 0;
    void *handle = load(message, &r);
    if (!handle)
        return r;
    if (!find_functions(&library, handle)) {
        dlclose(handle);
        return message_set(-ENOTSUP, message, NVML_LIBRARY " is too old to report devices.");
    }
    *ret_library = library;
    return 0;
}

void nvml_library_note(const struct nvml_library *library, const char *what, int code, char *note,
                       size_t size)
{
    const char *text = NULL;
    if (code == -E2BIG)
        text = "too many processes";
    else if (code == -ERANGE)
        text = "invalid figure";
    else if (code < 0)
        text = strerror(-code);
    else if (library->error)
        text = library->error(code);
    int length =
        snprintf(note, size, "The NVIDIA driver %.48s: %.80s", what, text ? text : "unknown error");
    if (code > 0 && (size_t)length < size)
        snprintf(note + length, size - (size_t)length, " (NVML error %d)", code);
    line_clean(note);
}
