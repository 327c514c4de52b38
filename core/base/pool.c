/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of items; see pool.h. In front of each item is a pointer to its block. */
#include "pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A sanitizer sees the use of freed memory only if it was freed. */
#ifdef __SANITIZE_ADDRESS__
#define BLOCK_BYTES 1
#else
#define BLOCK_BYTES 32768
#endif

union slot {
    struct pool_block *block; /* of a used one */
    union slot *next;         /* of a free one */
};

struct pool_block {
    struct pool *pool;
    struct pool_block *next, *prev; /* among those with room */
    union slot *free;
    uint32_t used, carved; /* items in use; slots that were ever used */
    union slot slots[];
};

void pool_init(struct pool *pool, size_t item_bytes)
{
    *pool = (struct pool){.item_bytes = item_bytes};
}

static size_t stride(const struct pool *pool)
{
    return 1 + (pool->item_bytes + sizeof(union slot) - 1) / sizeof(union slot);
}

static uint32_t capacity(const struct pool *pool)
{
    size_t count = BLOCK_BYTES / (stride(pool) * sizeof(union slot));

    return count ? (uint32_t)count : 1;
}

static void link_block(struct pool *pool, struct pool_block *block)
{
    block->prev = NULL;
    block->next = pool->roomy;
    if (block->next)
        block->next->prev = block;
    pool->roomy = block;
}

static void unlink_block(struct pool *pool, struct pool_block *block)
{
    if (block->prev)
        block->prev->next = block->next;
    else
        pool->roomy = block->next;
    if (block->next)
        block->next->prev = block->prev;
}

static struct pool_block *new_block(struct pool *pool)
{
    size_t bytes = capacity(pool) * stride(pool) * sizeof(union slot);
    struct pool_block *block = malloc(sizeof(*block) + bytes);

    if (!block)
        return NULL;
    *block = (struct pool_block){.pool = pool};
    link_block(pool, block);
    return block;
}

void *pool_take(struct pool *pool)
{
    struct pool_block *block = pool->roomy ? pool->roomy : new_block(pool);

    if (!block)
        return NULL;
    union slot *slot = block->free;
    if (slot)
        block->free = slot->next;
    else
        slot = block->slots + block->carved++ * stride(pool);
    block->used++;
    if (block->used == capacity(pool))
        unlink_block(pool, block);
    slot->block = block;
    return memset(slot + 1, 0, pool->item_bytes);
}

void pool_give(void *item)
{
    union slot *slot = (union slot *)item - 1;
    struct pool_block *block = slot->block;
    struct pool *pool = block->pool;
    bool only = pool->roomy == block && !block->next;

    if (block->used == capacity(pool))
        link_block(pool, block);
    slot->next = block->free;
    block->free = slot;
    block->used--;
    if (block->used > 0 || (only && BLOCK_BYTES > 1))
        return; /* the last one with room is kept */
    unlink_block(pool, block);
    free(block);
}

void pool_end(struct pool *pool)
{
    while (pool->roomy) {
        struct pool_block *block = pool->roomy;

        unlink_block(pool, block);
        free(block);
    }
}
