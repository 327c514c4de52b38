/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vendor is: one struct in one file, NAME.c with `const struct gpu_vendor
 * gpu_NAME`, and NAME in the list of meson.build. Nothing else knows vendors by name: the
 * daemon, the driver process and the contract suites go through the list.
 *
 * Functions marked (driver) run in a process made for them (driver.h): it is killed when
 * it takes too long, and what it says is checked, so they may block, crash and print.
 * Functions marked (daemon) run in the daemon: they read small files of /proc and /sys and
 * nothing else; opening a device node can wake a driver.
 * To come: `sharing`, how to switch a device between modes of sharing.
 */
#ifndef CHRONOS_GPU_VENDOR_H
#define CHRONOS_GPU_VENDOR_H

#include "gpu.h"
#include "usage_rows.h"

#include <limits.h>

#define GPU_VENDOR_MAX 16 /* bits of a question */

/* What the driver process is told at its start. Plain data: it travels by socket. */
struct gpu_setup {
    uint32_t magic; /* not for vendors */
    uint32_t device_count;
    int32_t idle_ms;  /* not for vendors */
    int32_t retry_ms; /* a driver that failed is not to be tried again for so long */
    char proc[256];   /* "/proc" but in tests */
    char sys[256];
    char simulate[1024];  /* which devices to make up, as the administrator wrote it */
    char layer[PATH_MAX]; /* a library that programs are to load; "" none */
    struct gpu_identity { /* the devices whose usage is asked for */
        char uuid[64];
        char pci[32];
    } device[GPU_DEVICE_MAX];
};

/* How the devices are used, as one vendor tells; process_count rows of struct
 * gpu_usage_process follow. Plain data as well. */
struct usage_answer {
    uint32_t magic, number, vendor, process_count; /* not for vendors */
    uint32_t process_lost;                         /* rows that found no place */
    char note[192];                                /* why it knows nothing, if something is wrong */
    struct usage_device {
        bool known, summed; /* as in struct gpu_usage_device */
        uint64_t used_bytes;
        char note[192]; /* it knows the device, but something is wrong */
    } device[GPU_DEVICE_MAX];
};

/* Where to look for device nodes; a NULL is the usual place. For tests. */
struct gpu_roots {
    const char *proc; /* "/proc" */
    const char *sys;  /* "/sys" */
    const char *dev;  /* "/dev" */
};

/* Gets each node that exists. `shared`: programs need it for any device of this vendor
 * (nvidiactl, kfd), so it comes with each of them; otherwise it belongs to this device
 * alone (nvidia0, dri/renderD128). A non-zero result ends the search. */
typedef int gpu_node_fn(void *context, const char *path, bool shared);

/* One search for the nodes of a device. */
struct gpu_node_search {
    const struct gpu_device *device;
    struct gpu_roots roots; /* none is NULL */
    gpu_node_fn *fn;
    void *context;
};

/* NULL: the vendor does not have that. */
struct gpu_vendor {
    const char *name; /* at most 15 characters; `backend` and `accounting` show it */
    const char *help; /* one line for documentation */

    /* -- discovery -- */

    /* (driver) Fills *list, which is zeroed: `backend` is filled in by the caller. Each
     * device has a key that is the same after a restart (a uuid, else the PCI address).
     * Not to have the driver is no error: no device then, and a note if the administrator
     * can do something. Called once when the daemon starts. 0, or -errno with a note. */
    int (*probe)(const struct gpu_setup *setup, struct gpu_list *list);
    /* Its devices are made up: asked if setup->simulate is set, and then alone. */
    bool simulates;
    /* What keeps programs on its devices within their memory, once it is installed and
     * list->layered: a word of the file `enforcement`. NULL: nothing does. */
    const char *limited_by;

    /* -- usage -- */

    /* (driver) Makes what it keeps between questions; touches no driver. Called once in a
     * process. 0 or -ENOMEM. Nothing closes it: the process just ends, because the
     * driver's end may hang. */
    int (*open)(const struct gpu_setup *setup, void **ret_state);
    /* (driver) Fills answer->device[] and ->note (zeroed) and adds rows, at most one for
     * each pid and device; gpu_match says which device a uuid or PCI address is. busy_ns
     * is a figure of the kernel's, or begins at 0 at the first question. Not to have the
     * driver is no error and has no note. Called for each question, once a second or so. */
    void (*sample)(void *state, const struct gpu_setup *setup, struct usage_answer *answer,
                   struct usage_rows *rows);
    /* What it counts for each process that the program did not allocate: the watchdog
     * lets a process have so much more. */
    uint64_t overhead_bytes;

    /* -- device nodes -- */

    /* (daemon) Passes each node of search->device to gpu_node_found. A device of another
     * vendor has none and is no error. 0, what gpu_node_found returned, or -errno. */
    int (*nodes)(const struct gpu_node_search *search);
    /* (daemon) True when something that any user can start sets modes on the nodes back;
     * `message` says what to do about it. */
    bool (*reopened)(const struct gpu_roots *roots, char *message, size_t size);
    /* (driver, before all others) True when its library would change the modes of nodes:
     * then the process gets a read-only /dev. */
    bool (*changes_nodes)(const struct gpu_roots *roots);
};

extern const struct gpu_vendor *const gpu_vendors[]; /* ends with NULL; in order of trust */

/* NULL: there is none of this name. */
const struct gpu_vendor *gpu_vendor_find(const char *name);

#endif
