/* SPDX-License-Identifier: Apache-2.0 */
/* Replace arrays, and objects of foreign memory. */
#include "record.h"

/* Bits of an element, by CUarray_format. Formats of video, which few programs use, take at most
 * this, but for their padding. */
static uint64_t element_bits(int format, unsigned channels)
{
    static const unsigned char normalized[] = {8, 16, 32, 16, 32, 64}; /* X1 X2 X4 of 8, 16 bits */
    if (format >= 0xc0 && format < 0xcc)
        return normalized[(format - 0xc0) % 6];
    if (format >= 0x91 && format <= 0x9e) /* BC1 to BC7: 16 elements in 8 or 16 bytes */
        return format <= 0x92 || format == 0x97 || format == 0x98 ? 4 : 8;
    switch (format) {
    case 0x01: /* unsigned and signed bytes */
    case 0x08:
        return 8ull * channels;
    case 0x02: /* 16 bits, integers and half */
    case 0x09:
    case 0x10:
        return 16ull * channels;
    case 0x50: /* 10, 10, 10 and 2 bits */
        return 32;
    case 0xb0: /* NV12 */
        return 12;
    default:
        return 32ull * (channels > 0 ? channels : 4);
    }
}

static uint64_t at_least_one(uint64_t value)
{
    return value > 0 ? value : 1;
}

/* Sum of all levels. A SPARSE or DEFERRED_MAPPING array takes nothing itself. */
static uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned levels)
{
    if (!descriptor || (descriptor->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)))
        return 0;
    uint64_t width = at_least_one(descriptor->Width), height = at_least_one(descriptor->Height),
             depth = at_least_one(descriptor->Depth), sum = 0;
    bool layers = descriptor->Flags & CUDA_ARRAY3D_LAYERED;
    for (unsigned level = 0; level < levels; level++) {
        uint64_t bits = shim_product(shim_product(shim_product(width, height), depth),
                                     element_bits(descriptor->Format, descriptor->NumChannels));
        uint64_t bytes = bits == UINT64_MAX ? bits : (bits + 7) / 8;
        sum = bytes > UINT64_MAX - sum ? UINT64_MAX : sum + bytes;
        width = at_least_one(width / 2);
        height = at_least_one(height / 2);
        depth = layers ? depth : at_least_one(depth / 2);
    }
    return sum;
}

static uint64_t flat_bytes(uint64_t width, uint64_t height, int format, unsigned channels)
{
    return array_bytes(
        &(CUDA_ARRAY3D_DESCRIPTOR){
            .Width = width, .Height = height, .Format = format, .NumChannels = channels},
        1);
}

EXPORT CUresult cuArrayCreate(CUarray *array, const CUDA_ARRAY_DESCRIPTOR_v1 *descriptor)
{
    RECORD_CREATE(cuArrayCreate, ENTRY_ARRAY,
                  descriptor ? flat_bytes(descriptor->Width, descriptor->Height, descriptor->Format,
                                          descriptor->NumChannels)
                             : 0,
                  array, descriptor);
}

EXPORT CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *descriptor)
{
    RECORD_CREATE(cuArrayCreate_v2, ENTRY_ARRAY,
                  descriptor ? flat_bytes(descriptor->Width, descriptor->Height, descriptor->Format,
                                          descriptor->NumChannels)
                             : 0,
                  array, descriptor);
}

EXPORT CUresult cuArray3DCreate(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR_v1 *descriptor)
{
    CUDA_ARRAY3D_DESCRIPTOR wide = {0};
    if (descriptor)
        wide = (CUDA_ARRAY3D_DESCRIPTOR){descriptor->Width,       descriptor->Height,
                                         descriptor->Depth,       descriptor->Format,
                                         descriptor->NumChannels, descriptor->Flags};
    RECORD_CREATE(cuArray3DCreate, ENTRY_ARRAY, array_bytes(&wide, 1), array, descriptor);
}

EXPORT CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    RECORD_CREATE(cuArray3DCreate_v2, ENTRY_ARRAY, array_bytes(descriptor, 1), array, descriptor);
}

EXPORT CUresult cuMipmappedArrayCreate(CUmipmappedArray *array,
                                       const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                                       unsigned int levels)
{
    RECORD_CREATE(cuMipmappedArrayCreate, ENTRY_MIPMAP,
                  array_bytes(descriptor, levels < 64 ? levels : 64), array, descriptor, levels);
}

/* What was mapped to a sparse array, which has no memory itself, goes with it. */
#define DESTROY(name, kind)                                                                        \
    ENTER(name, array);                                                                            \
    uint64_t key = (uint64_t)(uintptr_t)array;                                                     \
    struct entry *entry = entries_take(kind, key);                                                 \
    struct entry *tiles = entry && entry->bytes == 0 ? entries_take_tiles(key) : NULL;             \
    CUresult r = REAL(name)(array);                                                                \
    if (r == CUDA_SUCCESS) {                                                                       \
        record_end_all(tiles);                                                                     \
        record_end(entry);                                                                         \
    } else if (entry) {                                                                            \
        record_add(entry, key);                                                                    \
        record_add_all(tiles);                                                                     \
    }                                                                                              \
    shim_leave();                                                                                  \
    return r

EXPORT CUresult cuArrayDestroy(CUarray array)
{
    DESTROY(cuArrayDestroy, ENTRY_ARRAY);
}

EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray array)
{
    DESTROY(cuMipmappedArrayDestroy, ENTRY_MIPMAP);
}

/* -- foreign memory ------------------------------------------------------------------------ */

EXPORT CUresult cuImportExternalMemory(CUexternalMemory *memory,
                                       const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *descriptor)
{
    RECORD_CREATE(cuImportExternalMemory, ENTRY_FOREIGN, descriptor ? descriptor->size : 0, memory,
                  descriptor);
}

EXPORT CUresult cuDestroyExternalMemory(CUexternalMemory memory)
{
    ENTER(cuDestroyExternalMemory, memory);
    RECORD_FREE(ENTRY_FOREIGN, (uint64_t)(uintptr_t)memory, REAL(cuDestroyExternalMemory)(memory));
    shim_leave();
    return r;
}
