/* SPDX-License-Identifier: Apache-2.0 */
/* What is charged, found by what the driver calls it. Pointers, arrays and handles are numbers of
 * different kinds. Take an entry out before the driver frees, because its number can come again at
 * once, and put it back if the driver refuses. */
#ifndef CHRONOS_CUDA_ENTRIES_H
#define CHRONOS_CUDA_ENTRIES_H

#include "account.h"

enum entry_kind {
    ENTRY_POINTER, /* also what a pool gave */
    ENTRY_ARRAY,
    ENTRY_MIPMAP,
    ENTRY_FOREIGN,
    ENTRY_HANDLE,
    ENTRY_MAPPING,
    ENTRY_GRAPH, /* one that can be launched */
    ENTRY_STACK, /* of a context */
};

struct pool;

struct entry {
    struct entry *next;
    uint64_t key;
    enum entry_kind kind;
    CUdevice device;
    struct account account;
    CUcontext context;          /* that takes it along when it ends; NULL: none */
    uint64_t bytes;             /* its size where others hold the account */
    bool small;                 /* blocks.c holds the account */
    struct pool *pool;          /* pools.c holds the account */
    uint32_t handles, mappings; /* ENTRY_HANDLE */
    uint64_t of;                /* ENTRY_MAPPING: the handle; ENTRY_GRAPH: bytes of each launch */
    bool launched;              /* ENTRY_GRAPH */
};

/* Allocate a cleared entry; NULL without memory. */
struct entry *entries_new(enum entry_kind kind, CUdevice device);
/* Add it under `key`; the table owns it. An old entry with that key ends: the driver has given the
 * number out again, so it is gone. */
void entries_add(struct entry *entry, uint64_t key);
/* Remove and return it, or NULL; the caller frees it. */
struct entry *entries_take(enum entry_kind kind, uint64_t key);
/* Find it and hold the lock of its shard until entries_release. NULL: there is none, nothing held.
 */
struct entry *entries_hold(enum entry_kind kind, uint64_t key);
void entries_release(enum entry_kind kind, uint64_t key);
/* Remove everything that belongs to the context. The caller frees the list, linked by `next`. */
struct entry *entries_take_context(CUcontext context);
/* Remove all entries of a kind with keys in [start, end), in any order. */
struct entry *entries_take_range(enum entry_kind kind, uint64_t start, uint64_t end);

#endif
