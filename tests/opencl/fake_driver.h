/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenCL driver and loader for the tests of the layer, made of nothing but a table
 * of functions. It counts what it is asked, refuses when told to, keeps objects that
 * are in use, and runs commands only when told to.
 *
 * Platform 0 has the GPUs 0 and 1, platform 1 has GPU 0 once more and a processor,
 * platform 2 has no devices that anybody was given.
 */
#ifndef CHRONOS_TESTS_OPENCL_FAKE_DRIVER_H
#define CHRONOS_TESTS_OPENCL_FAKE_DRIVER_H

#include "tools/opencl/layer.h"

#define FAKE_PLATFORMS     3
#define FAKE_DEVICES       4 /* two of platform 0, two of platform 1 */
#define FAKE_MEMORY        ((cl_ulong)1 << 30)
#define FAKE_KEY_0         "uuid:01010101-0101-0101-0101-010101010101"
#define FAKE_KEY_1         "uuid:02020202-0202-0202-0202-020202020202"
#define FAKE_ENTRIES       (sizeof(cl_icd_dispatch) / sizeof(void *))
#define FAKE_ENTRIES_LONG  (FAKE_ENTRIES + 30)
#define FAKE_ENTRIES_SHORT 15 /* up to clCreateBuffer */

struct fake {
    cl_int refuse;                 /* the next allocation ends with this */
    bool wants_platform;           /* contexts need one named */
    bool no_callbacks;             /* clSetMemObjectDestructorCallback fails */
    bool no_parents;               /* a driver that knows no parts of devices */
    bool hold_commands;            /* enqueued frees wait for fake_run */
    bool late;                     /* objects end late, on a thread of the driver */
    bool free_fails;               /* clMemFreeINTEL does */
    uint64_t takes;                /* bytes that the next image, pipe or import takes */
    unsigned allocations;          /* how often memory was asked for */
    unsigned live;                 /* objects that are there */
    uint64_t live_bytes;           /* and pieces of memory by address */
    unsigned properties;           /* how often something was created with properties */
    const void *_Atomic last_data; /* arguments that came through */
    _Atomic uint64_t last_flags;
    cl_platform_id last_platform;      /* whose functions were asked for by name */
    void (*during_free)(void *memory); /* called when clSVMFree has freed */
    void *_Atomic give;                /* the next address that clSVMAlloc gives */
};
extern struct fake fake;

/* A new table of `entries`, exactly that long. The caller frees it. */
cl_icd_dispatch *fake_table(size_t entries);

cl_platform_id fake_platform(unsigned i);
cl_device_id fake_device(unsigned i);
cl_device_id fake_part(unsigned device); /* a part of device i, and of that a part */

/* What a kernel that has the object for an argument does. */
void fake_hold(cl_mem object);
void fake_let_go(cl_mem object);

cl_command_queue fake_queue(cl_context context);
void fake_run(void); /* runs what was enqueued */

#endif
