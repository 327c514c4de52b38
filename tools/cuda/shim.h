/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA shim: preloaded into programs of a partition, it charges what they allocate, and refuses
 * what does not fit, before the driver is asked. Its parts, from the top down:
 *
 *   find.c       the three ways by which programs find a function of the driver
 *   dlsym.S      dlsym, which leaves the caller's frame alone
 *   memory.c, arrays.c, virtual.c, async.c, waits.c, graphs.c, contexts.c, reports.c
 *                the functions replaced
 *   record.c     making and ending an object of theirs
 *   reserve.c    charging, and reclaiming before a refusal
 *   blocks.c, pools.c, graph_memory.c   what the driver holds for several objects
 *   entries.c    what is charged, found by the driver's pointers and handles
 *   account.c    charging a device's partition
 *   devices.c    which partition a device belongs to
 *   symbols.c    symbols of loaded libraries
 *   shim.c       shared by all of these
 *   atfork.c     for C libraries that know nothing of fork handlers by this name
 *
 * It is in other people's programs: it does nothing before the first call to the driver, prints
 * only if CHRONOS_DEBUG is set, never ends the program, has no thread, and holds no lock while the
 * driver works.
 */
#ifndef CHRONOS_CUDA_SHIM_H
#define CHRONOS_CUDA_SHIM_H

#include "driver.h"

#include "tools/libchronos/client.h"

#include <stdatomic.h>

#define MIB (1024ull * 1024)

/* Exported under the driver's own name. */
#define EXPORT __attribute__((visibility("default")))

/* The driver's functions; NULL where it has none. Written once, before shim_enter returns true. */
struct shim_functions {
#define HOOK(name)      __typeof__(&name) name;
#define USED(name)      __typeof__(&name) name;
#define NVML_HOOK(name) __typeof__(&name) name;
#define NVML_USED(name) __typeof__(&name) name;
#include "hooks.def"
};
extern struct shim_functions shim_real;
#define REAL(name) (shim_real.name)

/* The partitions of this program, and a client of `charge` for each. */
struct shim {
    struct chronos_environment environment;
    struct chronos_charge *charge[CHRONOS_PARTITIONS_MAX];
};
extern struct shim shim;

/* Prepare the shim: read the environment, once. False: this program is in no partition, or there is
 * no memory and it may go on without. */
bool shim_start(void);

/* Begin a replaced function. False: hand the call on as it is, because the program is in no
 * partition, the driver called itself, or it has no such function. `real` is where its address is
 * in shim_real. Otherwise end with shim_leave(). */
bool shim_enter(const void *real);
void shim_leave(void);

/* All locks of the shim, in the order in which a thread may take them; fork takes them all. */
enum { SHIM_SHARDS = 64 };
enum shim_lock {
    SHIM_LOCK_CONTEXTS,
    SHIM_LOCK_POOLS,
    SHIM_LOCK_GRAPHS,
    SHIM_LOCK_BLOCKS,
    SHIM_LOCK_ENTRIES, /* and the others of the shards */
    SHIM_LOCKS = SHIM_LOCK_ENTRIES + SHIM_SHARDS,
};
void shim_lock(unsigned lock);
void shim_unlock(unsigned lock);

/* A lock for what is done once, before fork knows of the others. 0 is free, else the process that
 * holds it: a child does not wait for a thread that only its parent has. */
void shim_lock_once(atomic_int *lock);
void shim_unlock_once(atomic_int *lock);

/* This process, which is another one after a fork. */
pid_t shim_process(void);

/* Report on stderr if CHRONOS_DEBUG is set. */
void shim_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A product, or the largest number if it is larger. */
static inline uint64_t shim_product(uint64_t a, uint64_t b)
{
    return a != 0 && b > UINT64_MAX / a ? UINT64_MAX : a * b;
}

/* Begin the replaced function `name`, or return what the library's own returns; `missing` if it has
 * none. */
#define ENTER_OR(missing, name, ...)                                                               \
    if (!shim_enter(&shim_real.name))                                                              \
    return REAL(name) ? REAL(name)(__VA_ARGS__) : (missing)
#define ENTER(name, ...) ENTER_OR(CUDA_ERROR_NOT_SUPPORTED, name, __VA_ARGS__)

#endif
