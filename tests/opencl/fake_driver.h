/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenCL driver and loader for the tests of the layer, made of nothing but a table of
 * functions. It counts its calls, refuses on request, keeps objects that are in use, and
 * runs commands only on request.
 *
 * Platform 0 has the GPUs 0 and 1, platform 1 has GPU 0 once more and a processor, platform 2
 * has only devices outside the partitions.
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
    cl_int refuse;                 /* the result of the next allocation */
    bool wants_platform;           /* contexts need a named platform */
    bool no_callbacks;             /* clSetMemObjectDestructorCallback fails */
    bool no_parents;               /* a driver that knows no parts of devices */
    bool hold_commands;            /* enqueued frees wait for fake_run */
    bool late;                     /* objects end on a thread of the driver, once we sleep */
    unsigned sleeps;               /* calls of nanosleep */
    bool free_fails;               /* the result of clMemFreeINTEL */
    uint64_t takes;                /* bytes that the next image, pipe or import takes */
    unsigned allocations;          /* calls for memory */
    unsigned live;                 /* living objects */
    uint64_t live_bytes;           /* and pieces of memory by address */
    unsigned properties;           /* creations with properties */
    const void *_Atomic last_data; /* arguments that came through */
    _Atomic uint64_t last_flags;
    cl_platform_id last_platform;      /* the platform whose functions were asked for by name */
    void (*during_free)(void *memory); /* called when clSVMFree has freed */
    void (*during_search)(void);       /* called when platforms are asked for */
    void *_Atomic give;                /* the next address from clSVMAlloc */
};
extern struct fake fake;

/* Makes a table of `entries`, exactly that long. The caller frees it. */
cl_icd_dispatch *fake_table(size_t entries);

cl_platform_id fake_platform(unsigned i);
cl_device_id fake_device(unsigned i);
cl_device_id fake_part(unsigned device); /* a part of device i, and a part of that */

/* Acts like a kernel with the object as an argument. */
void fake_hold(cl_mem object);
void fake_let_go(cl_mem object);

cl_command_queue fake_queue(cl_context context);
void fake_run(void); /* runs the enqueued commands */

#endif
