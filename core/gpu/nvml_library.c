/* SPDX-License-Identifier: Apache-2.0 */
/* Load NVML and resolve its functions; see nvml_library.h. */
#include "nvml_library.h"

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

int nvml_library_open(const char *name, struct nvml_library *ret_library)
{
    struct nvml_library library = {0};
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return -ENOENT;
    find(handle, &library.error, "nvmlErrorString");
    find(handle, &library.memory_v2, "nvmlDeviceGetMemoryInfo_v2");
    find(handle, &library.utilization, "nvmlDeviceGetProcessUtilization");
    find_lists(&library, handle);
    bool complete = find(handle, &library.init, "nvmlInit_v2") &&
                    find(handle, &library.device_count, "nvmlDeviceGetCount_v2") &&
                    find(handle, &library.device_by_index, "nvmlDeviceGetHandleByIndex_v2") &&
                    find(handle, &library.uuid, "nvmlDeviceGetUUID") &&
                    (find(handle, &library.pci, "nvmlDeviceGetPciInfo_v3") ||
                     find(handle, &library.pci, "nvmlDeviceGetPciInfo_v2")) &&
                    find(handle, &library.memory, "nvmlDeviceGetMemoryInfo");
    if (!complete) {
        dlclose(handle);
        return -ENOTSUP;
    }
    *ret_library = library;
    return 0;
}
