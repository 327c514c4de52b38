/* SPDX-License-Identifier: Apache-2.0 */
/* Count small allocations by block; see blocks.h. */
#include "blocks.h"

#include <stdlib.h>

#define BUCKETS 1024

struct block {
    struct block *next;
    uint64_t number; /* address / BLOCK_BYTES */
    uint64_t live;
};

/* Of one device. */
struct blocks {
    struct account account; /* of all its blocks, and of the one ahead */
    uint64_t count;
    bool ahead;
    struct block *bucket[BUCKETS];
};
static struct blocks *all[DEVICES_MAX];

/* Call with the lock held. NULL without memory. A child after a fork has none of its parent's. */
static struct blocks *of(CUdevice device)
{
    if (device < 0 || device >= DEVICES_MAX)
        return NULL;
    struct blocks *blocks = all[device];
    if (!blocks)
        return all[device] = calloc(1, sizeof(*blocks));
    if (account_is_ours(&blocks->account))
        return blocks;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct block *block = blocks->bucket[i], *next; block; block = next) {
            next = block->next;
            free(block);
        }
    }
    *blocks = (struct blocks){.count = 0};
    return blocks;
}

static struct block **find(struct blocks *blocks, CUdeviceptr pointer)
{
    uint64_t number = pointer / BLOCK_BYTES;
    struct block **at = &blocks->bucket[(number * 0x9E3779B97F4A7C15u) >> 54];
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

CUresult blocks_prepare(CUdevice device)
{
    shim_lock(SHIM_LOCK_BLOCKS);
    struct blocks *blocks = of(device);
    CUresult r = CUDA_SUCCESS;
    if (!blocks)
        r = CUDA_ERROR_OUT_OF_MEMORY;
    else if (!blocks->ahead)
        r = account_add(&blocks->account, device, BLOCK_BYTES);
    if (r == CUDA_SUCCESS)
        blocks->ahead = true;
    shim_unlock(SHIM_LOCK_BLOCKS);
    return r;
}

CUresult blocks_add(CUdevice device, CUdeviceptr pointer)
{
    CUresult r = CUDA_SUCCESS;
    shim_lock(SHIM_LOCK_BLOCKS);
    struct blocks *blocks = of(device);
    struct block **at = blocks ? find(blocks, pointer) : NULL, *block = at ? *at : NULL;
    if (!blocks) {
        r = CUDA_ERROR_OUT_OF_MEMORY;
    } else if (block) {
        block->live++;
    } else if (!(block = calloc(1, sizeof(*block)))) {
        r = CUDA_ERROR_OUT_OF_MEMORY;
    } else {
        if (!blocks->ahead)
            r = account_add(&blocks->account, device, BLOCK_BYTES);
        if (r == CUDA_SUCCESS) {
            *block = (struct block){.number = pointer / BLOCK_BYTES, .live = 1};
            *at = block;
            blocks->ahead = false;
            blocks->count++;
        } else {
            free(block);
        }
    }
    shim_unlock(SHIM_LOCK_BLOCKS);
    return r;
}

/* Call with the lock held. Keep one ahead while there are others. */
static void give_back(struct blocks *blocks)
{
    uint64_t keep = blocks->count > 0 ? (blocks->count + 1) * BLOCK_BYTES : 0;
    if (blocks->account.bytes > keep)
        account_take(&blocks->account, blocks->account.bytes - keep);
    blocks->ahead = blocks->account.bytes > blocks->count * BLOCK_BYTES;
}

void blocks_remove(CUdevice device, CUdeviceptr pointer)
{
    shim_lock(SHIM_LOCK_BLOCKS);
    struct blocks *blocks = of(device);
    struct block **at = blocks ? find(blocks, pointer) : NULL, *block = at ? *at : NULL;
    if (block && --block->live == 0) {
        *at = block->next;
        free(block);
        blocks->count--;
        give_back(blocks);
    }
    shim_unlock(SHIM_LOCK_BLOCKS);
}

void blocks_cancel(CUdevice device)
{
    shim_lock(SHIM_LOCK_BLOCKS);
    struct blocks *blocks = of(device);
    if (blocks)
        give_back(blocks);
    shim_unlock(SHIM_LOCK_BLOCKS);
}
