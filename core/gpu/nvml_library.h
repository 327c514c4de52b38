/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's management library (NVML), declared here so that the build needs no vendor header, and
 * opened at run time. Call it in the driver process only.
 */
#ifndef CHRONOS_GPU_NVML_LIBRARY_H
#define CHRONOS_GPU_NVML_LIBRARY_H

#include <stdbool.h>

#define NVML_NOT_SUPPORTED     3
#define NVML_INSUFFICIENT_SIZE 7
#define NVML_DRIVER_NOT_LOADED 9

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
struct nvml_process { /* _v2 and _v3 */
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};
struct nvml_utilization {
    unsigned pid;
    unsigned long long time_us;
    unsigned sm, memory, encoder, decoder; /* percent */
};

typedef int nvml_list_fn(nvml_device, unsigned *count, void *rows);

/* One of NVML's process lists, in one of its versions. */
struct nvml_list {
    nvml_list_fn *ask;
    bool v1;
};
#define NVML_LISTS 3

struct nvml_library {
    int (*init)(void);
    int (*device_count)(unsigned *);
    int (*device_by_index)(unsigned, nvml_device *);
    int (*uuid)(nvml_device, char *, unsigned);
    int (*pci)(nvml_device, struct nvml_pci *);
    int (*memory)(nvml_device, struct nvml_memory *);
    int (*memory_v2)(nvml_device, struct nvml_memory_v2 *);
    int (*utilization)(nvml_device, struct nvml_utilization *, unsigned *, unsigned long long);
    const char *(*error)(int);
    struct nvml_list list[NVML_LISTS];
};

/* Open the library of this name and keep it open. Return 0, -ENOENT if it is missing, or -ENOTSUP
 * if it is too old to report usage. */
int nvml_library_open(const char *name, struct nvml_library *ret_library);

#endif
