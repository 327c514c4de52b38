/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's management library (NVML), declared here so that the build needs no vendor header, and
 * opened at run time. Call it in the driver process only.
 */
#ifndef CHRONOS_GPU_NVML_LIBRARY_H
#define CHRONOS_GPU_NVML_LIBRARY_H

#include "core/base/message.h"

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

/* Functions from `name` on are NULL if the library is too old to have them. */
struct nvml_library {
    int (*init)(void);
    int (*device_count)(unsigned *);
    int (*device_by_index)(unsigned, nvml_device *);
    int (*uuid)(nvml_device, char *, unsigned);
    int (*pci)(nvml_device, struct nvml_pci *);
    int (*memory)(nvml_device, struct nvml_memory *);
    int (*name)(nvml_device, char *, unsigned);
    int (*driver_version)(char *, unsigned);
    int (*cuda_version)(int *); /* 13000: 13.0 */
    int (*mig_mode)(nvml_device, unsigned *current, unsigned *pending);
    int (*mig_count)(nvml_device, unsigned *); /* how many instances there can be */
    int (*mig_device)(nvml_device, unsigned index, nvml_device *);
    int (*memory_v2)(nvml_device, struct nvml_memory_v2 *);
    int (*utilization)(nvml_device, struct nvml_utilization *, unsigned *, unsigned long long);
    const char *(*error)(int);
    struct nvml_list list[NVML_LISTS];
};

#define NVML_LIBRARY "libnvidia-ml.so.1"

/* Open the library and keep it open. Return 0, -ENOENT without a message if it is missing, or
 * -ELIBBAD (it cannot be loaded) or -ENOTSUP (it is too old) with one. */
int nvml_library_open(struct nvml_library *ret_library, struct message *message);
/* Describe a failure, as one line. `code` is NVML's, or a negative errno. */
void nvml_library_note(const struct nvml_library *library, const char *what, int code, char *note,
                       size_t size);

#endif
