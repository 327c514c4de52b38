/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gpu port: which devices exist. Vendors (vendor.h) know how to find out; their
 * drivers hang and crash, so each is asked in a process of its own with a time limit
 * (driver.h), never in the daemon.
 */
#ifndef CHRONOS_GPU_GPU_H
#define CHRONOS_GPU_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPU_DEVICE_MAX 64
#define GPU_NOTE_MAX   384

/* Plain data, no pointers: it travels through sockets and shared memory. All text
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
    char backend[24];  /* name of the vendor that found it: opencl, simulated */
    uint64_t memory_bytes;
};

struct gpu_list {
    uint32_t count;
    struct gpu_device device[GPU_DEVICE_MAX];
    uint32_t layered;        /* programs on these devices load the layer of gpu_find_options */
    char note[GPU_NOTE_MAX]; /* something the administrator should know; "" nothing */
};

struct gpu_vendor;

/* NULL or 0 is the default. */
struct gpu_find_options {
    const char *simulate;                    /* devices to make up, "4x80G"; else real ones */
    const char *layer;                       /* a library that programs are to load; none */
    const char *program;                     /* executed with --driver; "/proc/self/exe" */
    int timeout_ms;                          /* 30000: for each vendor */
    const struct gpu_vendor *const *vendors; /* gpu_vendors; others in tests */
};

/* Asks one vendor, an index of the list, for at most timeout_ms. 0 and *ret_list; or
 * -ETIMEDOUT, -ECHILD (the driver crashed), -EBADMSG (its answer cannot be true) or the
 * vendor's own error, with an empty list and the reason in ret_list->note. Output of the
 * driver to stdout or stderr is dropped. */
int gpu_probe(const struct gpu_find_options *options, uint32_t vendor, struct gpu_list *ret_list);

typedef void gpu_note_fn(void *context, const char *note);

/* Asks all vendors that find devices, in order, and tells the notes worth reading. A
 * device that several find counts once, as the first finds it; processors count only
 * where nobody finds anything else. 0; or the first vendor's error if no device was
 * found. ret_list->note is "". */
int gpu_find(const struct gpu_find_options *options, gpu_note_fn *note, void *context,
             struct gpu_list *ret_list);

#endif
