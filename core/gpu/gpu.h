/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gpu port: which devices exist. A backend (one file, one word in the list of
 * gpu.c) knows one way to find out. Drivers hang and crash, so a backend is never
 * called in the daemon: gpu_probe asks it in a child process with a time limit.
 */
#ifndef CHRONOS_GPU_GPU_H
#define CHRONOS_GPU_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPU_DEVICE_MAX 64

/* Plain data, no pointers: it travels through pipes and shared memory. All text
 * is one printable line; "" means the runtime does not tell. */
struct gpu_device {
    char key[160];  /* names the same device across restarts: uuid:..., pci:..., sim:0 */
    char name[128]; /* "NVIDIA H200" */
    char vendor[128];
    char driver[128];  /* driver version */
    char version[128]; /* "OpenCL 3.0 CUDA" */
    char uuid[64];     /* "GPU-xxxxxxxx-xxxx-..." or as the runtime gives it */
    char pci[32];      /* "0000:3b:00.0" */
    char type[24];     /* GPU, ACCELERATOR, CPU */
    char backend[24];  /* opencl, simulated */
    uint64_t memory_bytes;
};

struct gpu_list {
    uint32_t count;
    struct gpu_device device[GPU_DEVICE_MAX];
    uint32_t layered; /* opencl: whether the loader took the layer it was told of */
    char note[256];   /* something the administrator should be told; "" nothing */
};

struct gpu_backend {
    const char *name;
    const char *help;
    /* Fills *list. `argument` is the backend's own text (or NULL). 0, or a
     * negative -errno with a message in list->note. */
    int (*probe)(const char *argument, struct gpu_list *list);
};

extern const struct gpu_backend gpu_opencl;            /* argument: a layer to try, or NULL */
extern const struct gpu_backend gpu_simulated;         /* argument: "4x80G", "2x80G,24G" */
extern const struct gpu_backend *const gpu_backends[]; /* ends with NULL */
const struct gpu_backend *gpu_backend_find(const char *name);

/* Asks `backend` in a child process for at most timeout_ms. 0 and *ret_list; or
 * -ETIMEDOUT, -ECHILD (it crashed), or the backend's error, with a message in
 * ret_list->note. Whatever the backend prints to stdout or stderr is dropped. */
int gpu_probe(const struct gpu_backend *backend, const char *argument, int timeout_ms,
              struct gpu_list *ret_list);

#endif
