/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a replaced function that makes or ends one object: charge it, ask the driver, and
 * keep an entry, or give it back. */
#ifndef CHRONOS_CUDA_RECORD_H
#define CHRONOS_CUDA_RECORD_H

#include "entries.h"

/* Charge an object of the current device, by blocks if it is small memory. *ret_entry is NULL where
 * nothing is charged: there is no context, and the driver is to say so. */
CUresult record_begin(enum entry_kind kind, uint64_t bytes, struct entry **ret_entry);
/* The driver answered `r`: keep the entry under `key`, or give it back. Return the program's
 * answer. */
CUresult record_finish(CUresult r, struct entry *entry, uint64_t key);

/* Put an entry into the table, and end an older one with that key. */
void record_add(struct entry *entry, uint64_t key);
/* Give back what the entry holds, and free it; NULL is fine. */
void record_end(struct entry *entry);
/* The same for a list; and put a list back under its keys. */
void record_end_all(struct entry *list);
void record_add_all(struct entry *list);

/* One mapping of the memory less. */
void record_unmapped(struct entry *memory);

/* What the driver takes for so many bytes: blocks of 2 MiB, and 2 MiB and a byte takes two. */
uint64_t record_rounded(uint64_t bytes);

/* End the object `key` by the call `free_it`; its result is `r`. */
#define RECORD_FREE(kind, key, free_it)                                                            \
    struct entry *entry = entries_take(kind, key);                                                 \
    CUresult r = free_it;                                                                          \
    if (entry && r != CUDA_SUCCESS)                                                                \
        record_add(entry, key);                                                                    \
    else                                                                                           \
        record_end(entry)

/* Define the body of a replaced function that makes an object: array(first argument), others. */
#define RECORD_CREATE(name, kind, bytes, object, ...)                                              \
    ENTER(name, object, __VA_ARGS__);                                                              \
    struct entry *entry;                                                                           \
    CUresult r = record_begin(kind, bytes, &entry);                                                \
    if (r == CUDA_SUCCESS) {                                                                       \
        r = REAL(name)(object, __VA_ARGS__);                                                       \
        r = record_finish(r, entry, r == CUDA_SUCCESS ? (uint64_t)(uintptr_t)*object : 0);         \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

#endif
