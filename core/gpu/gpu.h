/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gpu port: which devices exist. Vendors (vendor.h) find them; their drivers hang and crash, so
 * each runs in a process of its own with a timeout (driver.h), never in the daemon.
 */
#ifndef CHRONOS_GPU_GPU_H
#define CHRONOS_GPU_GPU_H

#include "core/base/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPU_DEVICE_MAX 1024
#define GPU_NOTE_MAX   384

/* Plain data without pointers: it is sent through sockets and shared memory. Every text is one
 * printable line; "" if the runtime does not report it. */
struct gpu_device {
    char key[160];  /* identifies the device across restarts: uuid:..., pci:..., sim:0 */
    char name[128]; /* "NVIDIA H200" */
    char vendor[128];
    char driver[128];      /* driver version */
    char version[128];     /* "OpenCL 3.0 CUDA" */
    char uuid[64];         /* "GPU-xxxxxxxx-xxxx-...", or as the runtime formats it */
    char pci[32];          /* "0000:3b:00.0", as gpu_write_pci writes it */
    char type[24];         /* GPU, ACCELERATOR, CPU */
    char backend[24];      /* the first vendor that found it: opencl, nvml, drm, simulated */
    uint64_t memory_bytes; /* 0: the vendor does not know; never in the result of gpu_find */
};

/* It is large: copy it with gpu_list_copy, which leaves the memory of devices that do not exist
 * untouched. */
struct gpu_list {
    uint32_t count;
    uint32_t layered;        /* programs on these devices load the layer of gpu_find_options */
    char note[GPU_NOTE_MAX]; /* a message for the administrator; "" if none */
    struct gpu_device device[GPU_DEVICE_MAX];
};

/* Return whether CUDA sees the device, under the name of its uuid. */
bool gpu_is_cuda(const struct gpu_device *device);
void gpu_list_copy(struct gpu_list *to, const struct gpu_list *from);
/* Make it empty, with this note. */
void gpu_list_clear(struct gpu_list *list, const char *note);

struct gpu_vendor;

/* NULL or 0 selects the default, which each comment gives. */
struct gpu_find_options {
    const char *simulate; /* devices to simulate, "4x80G"; none: use real devices */
    const char *layer;    /* library that programs load to limit memory; none */
    const char *program;  /* executed with --driver; NULL: this one */
    const char *proc;     /* "/proc" */
    const char *sys;      /* "/sys" */
    int timeout_ms;       /* per vendor; 30000 */
    const struct gpu_vendor *const *vendors; /* gpu_vendors; tests pass others */
};

/* Ask the vendor with this index, for at most timeout_ms. Return 0 and *ret_list; or -ETIMEDOUT,
 * -ECHILD (the driver crashed), -EBADMSG (the answer is invalid) or the vendor's own error, with an
 * empty list and the reason in ret_list->note. Output of the driver to stdout or stderr is
 * discarded. */
int gpu_probe(const struct gpu_find_options *options, uint32_t vendor, struct gpu_list *ret_list);

typedef void gpu_note_fn(void *context, const char *note);

/* Ask all vendors that can find devices, and pass their notes to `note`. A device that several
 * vendors find counts once, as the first one found it, with the uuid and PCI address that another
 * one adds; CPUs count only if no other device is found. Devices are in the order of their PCI
 * addresses, whichever vendor finds them; those without one follow as they were found. Return 0, or
 * the first error if no device was found. ret_list->note is "". */
int gpu_find(const struct gpu_find_options *options, gpu_note_fn *note, void *context,
             struct gpu_list *ret_list);

/* Keep only the devices that `names` lists, separated by '+' or ','. A name is the device's number
 * in the list ("0", "gpu0"), its uuid, or its PCI address, with or without domain. Return 0, or
 * -ENODEV with a message that lists the devices if a name fits none, and the list as it was. */
int gpu_select(struct gpu_list *list, const char *names, struct message *message);

#endif
