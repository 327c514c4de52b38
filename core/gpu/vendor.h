/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vendor is one struct in one file: NAME.c defines `const struct gpu_vendor gpu_NAME`, and
 * meson.build lists NAME. Nothing else knows vendors by name: the daemon, the driver process and
 * the contract tests iterate over the list.
 *
 * Functions marked (driver) run in a driver process (driver.h), which is killed when it takes too
 * long and whose answers are validated, so they may block, crash and print. Functions marked
 * (daemon) run in the daemon: they may only read small files of /proc and /sys, because opening a
 * device node can wake a driver.
 *
 * To come: `sharing`, how to switch a device between sharing modes.
 */
#ifndef CHRONOS_GPU_VENDOR_H
#define CHRONOS_GPU_VENDOR_H

#include "gpu.h"
#include "usage_rows.h"

#include "survey.h"

#include "core/base/message.h"

#include <limits.h>

#define GPU_VENDOR_MAX 16 /* bits of driver_question.vendors */

/* The first message to the driver process. Plain data: it is sent through a socket, without the
 * devices that do not exist. */
struct gpu_setup {
    uint32_t magic; /* not for vendors */
    uint32_t device_count;
    int32_t idle_ms;  /* not for vendors */
    int32_t retry_ms; /* do not retry a failed driver for this long */
    char proc[256];   /* "/proc" except in tests */
    char sys[256];
    char simulate[1024];  /* devices to simulate, as the administrator wrote it */
    char layer[PATH_MAX]; /* library that programs load to limit memory; "" if none */
    struct gpu_identity { /* the devices whose usage is wanted */
        char uuid[64];
        char pci[32];
    } device[GPU_DEVICE_MAX];
};

/* Usage as one vendor reports it. Plain data as well: without the devices that do not exist, and
 * followed by process_count rows of struct gpu_usage_process. */
struct usage_answer {
    uint32_t magic, number, vendor, process_count; /* not for vendors */
    uint32_t process_lost;                         /* rows dropped for lack of space */
    char note[192]; /* why the vendor reports nothing, if something is wrong */
    struct usage_device {
        bool known, summed; /* as in struct gpu_usage_device */
        uint64_t used_bytes;
        uint64_t free_bytes; /* what programs can still have; 0: the driver does not say */
        char note[192];      /* the vendor knows the device, but something is wrong */
    } device[GPU_DEVICE_MAX];
};

/* Where to search for device nodes; NULL selects the default. For tests. */
struct gpu_roots {
    const char *proc; /* "/proc" */
    const char *sys;  /* "/sys" */
    const char *dev;  /* "/dev" */
};

/* Called for each existing node. With `shared`, programs need the node for every device of this
 * vendor (nvidiactl, kfd), so it is reported with each of them; otherwise it belongs to this device
 * alone (nvidia0, dri/renderD128). A non-zero result ends the search. */
typedef int gpu_node_fn(void *context, const char *path, bool shared);

/* A search for the nodes of a device. */
struct gpu_node_search {
    const struct gpu_device *device;
    struct gpu_roots roots; /* no member is NULL */
    gpu_node_fn *fn;
    void *context;
};

struct checkpoint_question;
struct checkpoint_answer;

/* A NULL member means that the vendor does not have the feature. */
struct gpu_vendor {
    const char *name; /* at most 15 characters; `backend` and `accounting` show it */
    const char *help; /* one line: which devices, and what it reads */

    /* -- discovery -- */

    /* (driver) Fill *list, which is zeroed; the caller fills `backend`. Give each device a key that
     * survives a restart ("uuid:..." if the uuid is the card's own, else "pci:..."), and 0 for its
     * memory if only another vendor can know it. A missing driver is not an error: return no
     * device, and a note if the administrator can fix it; it is shown if no vendor finds a device.
     * Called once, when the daemon starts. Return 0, or -errno with a note. */
    int (*probe)(const struct gpu_setup *setup, struct gpu_list *list);
    /* Its devices are simulated: probe it only if setup->simulate is set, and then no other. */
    bool simulates;
    /* A word of the file `enforcement`: what keeps programs on these devices within their memory if
     * it is installed and list->layered is set. NULL: nothing does. */
    const char *limited_by;

    /* -- usage -- */

    /* (driver) Allocate the state kept between questions, without touching the driver. Called once
     * in a process. Return 0 or -ENOMEM. There is no close function: the process just exits,
     * because closing a driver may hang. */
    int (*open)(const struct gpu_setup *setup, void **ret_state);
    /* (driver) Fill answer->device[] and ->note (both zeroed) and add rows, at most one per pid and
     * device; gpu_match finds the device of a uuid or PCI address. busy_ns is the kernel's counter,
     * or starts at 0 with the first question. A missing driver is not an error and has no note.
     * Called for each question, about once a second. */
    void (*sample)(void *state, const struct gpu_setup *setup, struct usage_answer *answer,
                   struct usage_rows *rows);
    /* Memory that the driver counts for each process though the program did not allocate it: the
     * watchdog tolerates this much more per process. */
    uint64_t overhead_bytes;
    /* The driver can list a process that has ended, while others hold its descriptors. */
    bool rows_outlive;

    /* (driver) Answer the questions of survey.h. *survey is zeroed. */
    void (*survey)(const struct gpu_setup *setup, struct gpu_survey *survey);
    /* (driver) Measure survey->context_bytes, after the rest is sent: this may hang. With survey.
     */
    void (*measure)(const struct gpu_setup *setup, struct gpu_survey *survey);

    /* (driver) Move what processes have on a device to the machine's memory, and back: make the
     * call of the question for all of them at once. *answer is zeroed but for the pids; what they
     * have on the device is filled in by `sample`, which must be there, too. */
    void (*checkpoint)(const struct checkpoint_question *question,
                       struct checkpoint_answer *answer);

    /* -- device nodes -- */

    /* (daemon) Pass each node of search->device to gpu_node_found. A device of another vendor has
     * no nodes and is not an error. Return 0, the result of gpu_node_found, or -errno. */
    int (*nodes)(const struct gpu_node_search *search);
    /* (daemon) True if a program that any user can run resets the modes of the nodes; `message`
     * then explains how to prevent that. */
    bool (*reopened)(const struct gpu_roots *roots, struct message *message);
    /* (driver, called before all others) True if the vendor's library would change the modes of
     * nodes: the process then gets a read-only /dev. */
    bool (*changes_nodes)(const struct gpu_roots *roots);
};

extern const struct gpu_vendor *const gpu_vendors[]; /* NULL-terminated, in order of trust */

/* Return NULL if there is no vendor of this name. */
const struct gpu_vendor *gpu_vendor_find(const char *name);

#endif
