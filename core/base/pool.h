/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for many things of one size that live long: in blocks of their own, since what comes and
 * goes between them would leave gaps that fit nothing. A block in which nothing is left is freed.
 * Pure.
 */
#ifndef CHRONOS_BASE_POOL_H
#define CHRONOS_BASE_POOL_H

#include <stddef.h>

struct pool {
    size_t item_bytes;
    struct pool_block *roomy; /* blocks with room, those used last come first */
};

void pool_init(struct pool *pool, size_t item_bytes);
/* Take an item, all zero, aligned as pointers are; NULL: out of memory. */
void *pool_take(struct pool *pool);
/* Give it back; its pool must not have moved. */
void pool_give(void *item);
/* Free what is kept for the next ones. Everything must have been given back. */
void pool_end(struct pool *pool);

#endif
