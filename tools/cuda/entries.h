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
    ENTRY_TILE,    /* a part of a sparse array that memory is mapped to */
    ENTRY_GRAPH,   /* one that can be launched */
    ENTRY_STACK,   /* of a context */
    ENTRY_CAPTURE, /* that goes on, by the stream where it began */
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
    uint32_t handles, mappings; /* ENTRY_HANDLE: lasts as long as either */
    struct entry *memory;       /* ENTRY_MAPPING, ENTRY_TILE: of what */
    uint64_t array;             /* ENTRY_TILE */
    uint64_t left_bytes;        /* ENTRY_GRAPH: what each launch leaves to others to free */
    uint64_t launched;          /* ENTRY_GRAPH: the trim after which it was launched; 0: never */
};

/* Allocate a cleared entry; NULL without memory. */
struct entry *entries_new(enum entry_kind kind, CUdevice device);
/* Add it under `key`; the table owns it. Return the old entry with that key, if any, for the caller
 * to end: the driver has given the number out again, so it is gone. Mapped memory has only lost its
 * number, and is left to its mappings. */
struct entry *entries_add(struct entry *entry, uint64_t key);
/* Remove and return it, or NULL; the caller frees it. */
struct entry *entries_take(enum entry_kind kind, uint64_t key);
/* Find it and hold the lock of its shard until entries_release. NULL: there is none, nothing held.
 */
struct entry *entries_hold(enum entry_kind kind, uint64_t key);
void entries_release(enum entry_kind kind, uint64_t key);
/* Change how many handles and mappings memory has. Return whether it has none any more: then it is
 * out of the table, and the caller's. */
bool entries_count(struct entry *memory, int handles, int mappings);
/* Remove a handle of the memory with this one. False: there is none. *ret_last: it was the last and
 * nothing is mapped, so it is out of the table, and the caller's; else NULL. */
bool entries_drop_handle(uint64_t key, struct entry **ret_last);
/* Remove everything that belongs to the context. The caller frees the list, linked by `next`. */
struct entry *entries_take_context(CUcontext context);
/* Remove all entries of a kind with keys in [start, end), in any order. */
struct entry *entries_take_range(enum entry_kind kind, uint64_t start, uint64_t end);
/* Remove all tiles of an array. */
struct entry *entries_take_tiles(uint64_t array);

#endif
