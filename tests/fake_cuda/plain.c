/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, and plain memory of the made-up driver; see fake.h. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

/* -- addresses ------------------------------------------------------------------------ */

#define FREED 256

static uint64_t next_address = 0x7f0000000000;
static struct {
    CUdeviceptr address;
    uint64_t bytes;
} freed[FREED];

/* What was freed last comes again first. */
CUdeviceptr fake_address(uint64_t bytes)
{
    bytes = fake_up(bytes, BLOCK);
    for (size_t i = FREED; i-- > 0;) {
        if (freed[i].bytes != bytes)
            continue;
        freed[i].bytes = 0;
        return freed[i].address;
    }
    next_address += bytes;
    return next_address - bytes;
}

void fake_address_free(CUdeviceptr address, uint64_t bytes)
{
    memmove(freed, freed + 1, sizeof(freed) - sizeof(freed[0]));
    freed[FREED - 1].address = address;
    freed[FREED - 1].bytes = fake_up(bytes, BLOCK);
}

#define BUCKETS 65536
static struct piece *pieces[BUCKETS];

static struct piece **bucket_of(CUdeviceptr start)
{
    return &pieces[(start / 512 * 0x9E3779B97F4A7C15u) >> 48];
}

void fake_piece_add(struct piece piece)
{
    struct piece *made = malloc(sizeof(*made)), **bucket = bucket_of(piece.start);
    if (!made)
        abort();
    *made = piece;
    made->next = *bucket;
    *bucket = made;
}

struct piece *fake_piece_find(CUdeviceptr start)
{
    struct piece *piece = *bucket_of(start);
    while (piece && piece->start != start)
        piece = piece->next;
    return piece;
}

void fake_piece_end(struct piece *piece, CUstream stream)
{
    struct piece **at = bucket_of(piece->start);
    while (*at != piece)
        at = &(*at)->next;
    *at = piece->next;
    if (piece->block)
        fake_block_leave(piece->block, piece);
    else if (piece->pool)
        fake_pool_freed(piece->pool, piece->bytes, stream);
    else if (piece->mapped)
        fake_unmapped(piece->mapped);
    fake_give(piece->device, piece->taken);
    if (!piece->block && !piece->mapped && !piece->graph)
        fake_address_free(piece->start, piece->bytes);
    free(piece);
}

void fake_piece_each(void (*do_it)(struct piece *piece, const void *what), const void *what)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct piece *piece = pieces[i], *next; piece; piece = next) {
            next = piece->next;
            do_it(piece, what);
        }
    }
}

/* -- small ones ------------------------------------------------------------------------ */

#define SLOT  512
#define SLOTS (BLOCK / SLOT)

struct block {
    struct block *next;
    CUdeviceptr start;
    CUcontext context;
    size_t room;
    bool used[SLOTS];
};
static struct block *blocks;

/* The first of so many free slots side by side, or -1. */
static long find_slots(const struct block *block, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; block->room >= count && i < SLOTS; i++) {
        length = block->used[i] ? 0 : length + 1;
        if (length == count)
            return (long)(i + 1 - count);
    }
    return -1;
}

/* Blocks belong to a context. NULL: the device is full. */
static struct block *find_block(CUcontext context, size_t count, long *ret_at)
{
    for (struct block *block = blocks; block; block = block->next) {
        *ret_at = block->context == context ? find_slots(block, count) : -1;
        if (*ret_at >= 0)
            return block;
    }
    struct block *block = calloc(1, sizeof(*block));
    if (!block || !fake_take(context->device, BLOCK)) {
        free(block);
        return NULL;
    }
    block->start = fake_address(BLOCK);
    block->context = context;
    block->room = SLOTS;
    block->next = blocks;
    *ret_at = 0;
    return blocks = block;
}

static CUdeviceptr join_block(CUcontext context, struct piece *piece)
{
    size_t count = fake_up(piece->bytes, SLOT) / SLOT;
    long at;
    piece->block = find_block(context, count, &at);
    if (!piece->block)
        return 0;
    memset(piece->block->used + at, true, count);
    piece->block->room -= count;
    return piece->block->start + (uint64_t)at * SLOT;
}

void fake_block_leave(struct block *block, const struct piece *piece)
{
    size_t count = fake_up(piece->bytes, SLOT) / SLOT;
    memset(block->used + (piece->start - block->start) / SLOT, false, count);
    block->room += count;
    if (block->room < SLOTS)
        return;
    struct block **at = &blocks;
    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
    fake_give(block->context->device, BLOCK);
    fake_address_free(block->start, BLOCK);
    free(block);
}

/* -- calls ------------------------------------------------------------------------------ */

static CUresult alloc(CUdeviceptr *pointer, uint64_t bytes, bool small)
{
    CUcontext context = fake_context();
    if (!pointer || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!context)
        return INVALID_CONTEXT;
    if (bytes > UINT64_MAX / 2)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct piece piece = {.bytes = bytes, .device = context->device, .context = context};
    fake_lock();
    if (small) {
        piece.start = join_block(context, &piece);
    } else if (fake_take(context->device, fake_up(bytes, BLOCK))) {
        piece.taken = fake_up(bytes, BLOCK);
        piece.start = fake_address(bytes);
    }
    if (piece.start) {
        fake_piece_add(piece);
        *pointer = piece.start;
    }
    fake_unlock();
    return piece.start ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

API CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes)
{
    return alloc(pointer, bytes, bytes <= MIB);
}

/* On a device of today no pointer fits in 32 bits. */
API CUresult cuMemAlloc(CUdeviceptr_v1 *pointer, unsigned bytes)
{
    (void)pointer, (void)bytes;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

API CUresult cuMemAllocManaged(CUdeviceptr *pointer, size_t bytes, unsigned flags)
{
    (void)flags;
    return alloc(pointer, bytes, false);
}

API CUresult cuMemAllocPitch_v2(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height,
                                unsigned element)
{
    uint64_t padded = width > UINT64_MAX / 2 ? 0 : fake_up(width, 512 + fake_settings.pitch);
    if (element != 4 && element != 8 && element != 16)
        return CUDA_ERROR_INVALID_VALUE;
    if (padded == 0 || height > UINT64_MAX / 2 / padded)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = alloc(pointer, padded * height, padded * height <= MIB);
    if (r == CUDA_SUCCESS)
        *pitch = padded;
    return r;
}

API CUresult cuMemAllocPitch(CUdeviceptr_v1 *pointer, unsigned *pitch, unsigned width,
                             unsigned height, unsigned element)
{
    (void)pointer, (void)pitch, (void)width, (void)height, (void)element;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

API CUresult cuMemFree_v2(CUdeviceptr pointer)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;
    if (pointer == 0)
        return CUDA_SUCCESS;
    if (!fake_context())
        return INVALID_CONTEXT;
    fake_lock();
    struct piece *piece = fake_piece_find(pointer);
    if (piece && !piece->mapped) {
        fake_piece_end(piece, NULL);
        r = CUDA_SUCCESS;
    }
    fake_unlock();
    return r;
}

API CUresult cuMemFree(CUdeviceptr_v1 pointer)
{
    return cuMemFree_v2(pointer);
}

API CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    CUcontext context = fake_context();
    if (!context)
        return INVALID_CONTEXT;
    *total = fake_devices[context->device].bytes;
    *free_bytes = *total - fake_devices[context->device].taken;
    return CUDA_SUCCESS;
}

API CUresult cuMemGetInfo(unsigned *free_bytes, unsigned *total)
{
    size_t wide_free, wide_total;
    CUresult r = cuMemGetInfo_v2(&wide_free, &wide_total);
    if (r == CUDA_SUCCESS) {
        *free_bytes = wide_free > UINT32_MAX ? UINT32_MAX : (unsigned)wide_free;
        *total = wide_total > UINT32_MAX ? UINT32_MAX : (unsigned)wide_total;
    }
    return r;
}

CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags)
{
    (void)flags;
    *pointer = malloc(bytes);
    return *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFreeHost(void *pointer)
{
    free(pointer);
    return CUDA_SUCCESS;
}
