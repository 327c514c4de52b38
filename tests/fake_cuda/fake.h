/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda.so.1 of our own: it takes memory as NVIDIA's driver does (figures from an H100), so
 * that the shim can be tried on any machine. With its directory in LD_LIBRARY_PATH it is found
 * instead of NVIDIA's. What it models:
 *
 *   device.c    devices, and the settings
 *   contexts.c  contexts of 518 MiB, stacks of what all threads need
 *   plain.c     small allocations share blocks of 2 MiB, larger ones are rounded up to 2 MiB
 *   arrays.c    arrays, and memory of other interfaces
 *   virtual.c   handles keep their memory until the last handle and the last mapping are gone
 *   pools.c     a pool reserves in steps of 32 MiB and gives back at a synchronize what was freed
 *               in the streams that were waited for, down to its threshold
 *   graphs.c    streams, captures, and graphs as they are made
 *   launches.c  graphs take their allocations at the first launch and keep them until a trim
 *   checkpoints.c  states of processes: running, locked, checkpointed
 *   names.c     every function of hooks.def, and the few below, by name and version
 *
 * Addresses and numbers of what was freed come again at once. A process that was forked from one
 * with a context has no driver, as with NVIDIA's.
 *
 * CHRONOS_FAKE_CUDA lists its devices, "UUID=BYTES UUID=BYTES". CHRONOS_FAKE_CUDA_STATE names a
 * directory where each process keeps a file with what it has of each device, for the NVML of
 * tests/fake_nvml.
 */
#ifndef TESTS_FAKE_CUDA_FAKE_H
#define TESTS_FAKE_CUDA_FAKE_H

#include "tools/cuda/driver.h"

#include <stdbool.h>

#define API __attribute__((visibility("default")))

#define MIB     (1024ull * 1024)
#define BLOCK   (2 * MIB)
#define STEP    (32 * MIB)
#define CONTEXT (518 * MIB)
#define DEVICES 8

enum { FAKE_PROCESSORS = 132, FAKE_THREADS = FAKE_PROCESSORS * 2048 };

enum {
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    ILLEGAL_STATE = 401,
    NOT_FOUND = 500,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
};

/* -- for tests ---------------------------------------------------------------------- */

/* What a device has given to this process, and the most that it ever had. */
API uint64_t fake_cuda_taken(int device);
API uint64_t fake_cuda_high(int device);
/* Settings, all 0 at first:
 *   fragment   steps that a pool reserves beyond what it needs
 *   renumber   a handle's number comes again while its memory is mapped
 *   delay      microseconds that each allocation and free takes
 *   pitch      bytes, beyond 512, that rows are padded to */
API void fake_cuda_set(const char *name, uint64_t value);
struct fake_settings {
    uint64_t fragment, renumber, delay, pitch;
};
extern struct fake_settings fake_settings;

/* cuGetProcAddress_v2 under a name that no shim replaces. */
API CUresult fake_cuda_ask(const char *symbol, void **address, int version, uint64_t flags,
                           int *status);

/* -- the driver's functions that no row of hooks.def has --------------------------- */

API CUresult cuInit(unsigned flags);
API CUresult cuDriverGetVersion(int *version);
API CUresult cuDeviceGetCount(int *count);
API CUresult cuCtxSetCurrent(CUcontext context);
API CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool);
API CUresult cuStreamCreate(CUstream *stream, unsigned flags);
API CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags);
API CUresult cuMemFreeHost(void *pointer);
API CUresult cuGraphCreate(CUgraph *graph, unsigned flags);
API CUresult cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph,
                                    const CUgraphNode *dependencies, size_t count,
                                    CUDA_MEM_ALLOC_NODE_PARAMS *params);
API CUresult cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph graph,
                                   const CUgraphNode *dependencies, size_t count,
                                   CUdeviceptr pointer);
API CUresult cuGraphAddChildGraphNode(CUgraphNode *node, CUgraph graph,
                                      const CUgraphNode *dependencies, size_t count, CUgraph child);

/* -- shared by its parts ------------------------------------------------------------ */

struct device {
    unsigned char uuid[16];
    uint64_t bytes, taken, high;
    int primary;             /* how often it is retained */
    uint64_t graph_reserved; /* of graphs */
    struct CUmemPoolHandle_st *pool, *current;
};
extern struct device fake_devices[DEVICES];
extern int fake_device_count; /* negative before cuInit */

struct CUctx_st {
    int device;
    bool gone;
    int attached;
    size_t stack;
    uint64_t stack_taken;
};

/* The file of a process in CHRONOS_FAKE_CUDA_STATE. tests/fake_nvml reads its beginning. */
struct told {
    uint64_t bytes[DEVICES]; /* what it has of each device */
    uint64_t state;          /* TOLD_*; while it does not run, every call waits */
    uint64_t saved[DEVICES]; /* what it had when it was checkpointed */
    uint64_t lost;           /* a restore had no room */
};
enum { TOLD_RUNNING, TOLD_LOCKED, TOLD_SAVED, TOLD_FAILED };

/* After cuInit, and not in a forked child. */
bool fake_usable(void);
CUresult fake_check(CUdevice device);

/* One lock for everything. */
void fake_lock(void);
void fake_unlock(void);
/* The rest is called with the lock held. */

/* False: the device has not that many left. */
bool fake_take(int device, uint64_t bytes);
void fake_give(int device, uint64_t bytes);
static inline uint64_t fake_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}
/* An address for so many bytes, and back. */
CUdeviceptr fake_address(uint64_t bytes);
void fake_address_free(CUdeviceptr address, uint64_t bytes);

/* The current context; NULL: none, or this is a forked child. Without the lock. */
CUcontext fake_context(void);

/* Everything that has an address, by it. */
struct piece {
    struct piece *next;
    CUdeviceptr start;
    uint64_t bytes, taken;
    int device;
    CUcontext context; /* that it ends with */
    struct block *block;
    struct CUmemPoolHandle_st *pool;
    struct memory *mapped;
    struct CUgraphExec_st *graph; /* that allocated it */
};
void fake_piece_add(struct piece piece);
struct piece *fake_piece_find(CUdeviceptr start);
/* Take it out, and give back what it has. */
void fake_piece_end(struct piece *piece, CUstream stream);
/* Call `do_it` for each, which may end it. */
void fake_piece_each(void (*do_it)(struct piece *piece, const void *what), const void *what);

void fake_block_leave(struct block *block, const struct piece *piece);
void fake_pool_freed(struct CUmemPoolHandle_st *pool, uint64_t bytes, CUstream stream);
void fake_unmapped(struct memory *memory);
/* One mapping more of the memory with this number, which can be NULL. */
struct memory *fake_mapped(CUmemGenericAllocationHandle handle);
struct CUmemPoolHandle_st *fake_pool_new(int device, bool on_host);

/* Streams that are captured. Waiting for the device breaks all captures: the error, or success. */
CUresult fake_may_wait(void);
API void fake_cuda_join(CUstream stream, CUstream other);
/* The graph that the stream is captured into, or NULL. */
CUgraph fake_captured(CUstream stream);
/* What NULL means to functions of each thread's stream. */
static inline CUstream fake_stream_ptsz(CUstream stream)
{
    return stream ? stream : CU_STREAM_PER_THREAD;
}
CUresult fake_capture_alloc(CUgraph graph, CUdeviceptr *pointer, uint64_t bytes);
CUresult fake_capture_free(CUgraph graph, CUdeviceptr pointer);

#endif
