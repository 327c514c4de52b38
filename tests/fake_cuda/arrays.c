/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays, and memory of other interfaces; see fake.h. */
#include "fake.h"

#include <stdlib.h>

/* Both kinds of arrays, and what was imported. */
struct object {
    int device;
    uint64_t taken;
    struct memory *tiles[8]; /* mapped to a sparse one */
};

/* Bits of an element, by the names of the formats in cuda.h. */
static uint64_t element_bits(int format, unsigned channels)
{
    switch (format) {
    case 0x01:
    case 0x08:
        return 8ull * channels;
    case 0x02:
    case 0x09:
    case 0x10:
        return 16ull * channels;
    case 0xc0: /* UNORM_INT8X1, X2, X4; SNORM from 0xc6 */
    case 0xc6:
        return 8;
    case 0xc1:
    case 0xc7:
    case 0xc3: /* UNORM_INT16X1 */
    case 0xc9:
        return 16;
    case 0xc2:
    case 0xc8:
    case 0xc4:
    case 0xca:
        return 32;
    case 0xc5: /* UNORM_INT16X4 */
    case 0xcb:
        return 64;
    case 0x91: /* BC1 and BC4: 8 bytes for 16 elements; the other BC: 16 */
    case 0x92:
    case 0x97:
    case 0x98:
        return 4;
    case 0x93:
    case 0x94:
    case 0x95:
    case 0x96:
    case 0x99:
    case 0x9a:
    case 0x9b:
    case 0x9c:
    case 0x9d:
    case 0x9e:
        return 8;
    case 0xb0: /* NV12: 4:2:0 */
        return 12;
    default:
        return 32ull * channels;
    }
}

static uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *d, unsigned levels)
{
    uint64_t width = d->Width, height = d->Height ? d->Height : 1, depth = d->Depth ? d->Depth : 1;
    uint64_t sum = 0;
    for (unsigned i = 0; i < levels; i++) {
        sum += (width * height * depth * element_bits(d->Format, d->NumChannels) + 7) / 8;
        width = width > 1 ? width / 2 : 1;
        height = height > 1 ? height / 2 : 1;
        depth = depth > 1 && !(d->Flags & CUDA_ARRAY3D_LAYERED) ? depth / 2 : depth;
    }
    return d->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING) ? 0 : sum;
}

static CUresult make(struct object **ret, uint64_t bytes)
{
    CUcontext context = fake_context();
    if (!context)
        return INVALID_CONTEXT;
    struct object *made = calloc(1, sizeof(*made));
    fake_lock();
    bool fits = made && fake_take(context->device, fake_up(bytes, BLOCK));
    fake_unlock();
    if (!fits) {
        free(made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    made->device = context->device;
    made->taken = fake_up(bytes, BLOCK);
    *ret = made;
    return CUDA_SUCCESS;
}

static CUresult end(struct object *object)
{
    if (!object)
        return INVALID_HANDLE;
    fake_lock();
    for (size_t i = 0; i < 8; i++) {
        if (object->tiles[i])
            fake_unmapped(object->tiles[i]);
    }
    fake_give(object->device, object->taken);
    fake_unlock();
    free(object);
    return CUDA_SUCCESS;
}

API CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
    return d && d->Width ? make((struct object **)array, array_bytes(d, 1))
                         : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuArray3DCreate(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR_v1 *d)
{
    return cuArray3DCreate_v2(array,
                              &(CUDA_ARRAY3D_DESCRIPTOR){d->Width, d->Height, d->Depth, d->Format,
                                                         d->NumChannels, d->Flags});
}

API CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *d)
{
    return cuArray3DCreate_v2(
        array, &(CUDA_ARRAY3D_DESCRIPTOR){d->Width, d->Height, 0, d->Format, d->NumChannels, 0});
}

API CUresult cuArrayCreate(CUarray *array, const CUDA_ARRAY_DESCRIPTOR_v1 *d)
{
    return cuArrayCreate_v2(
        array, &(CUDA_ARRAY_DESCRIPTOR){d->Width, d->Height, d->Format, d->NumChannels});
}

API CUresult cuArrayDestroy(CUarray array)
{
    return end((struct object *)array);
}

API CUresult cuMipmappedArrayCreate(CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *d,
                                    unsigned levels)
{
    return make((struct object **)array, array_bytes(d, levels));
}

API CUresult cuMipmappedArrayDestroy(CUmipmappedArray array)
{
    return end((struct object *)array);
}

API CUresult cuImportExternalMemory(CUexternalMemory *memory,
                                    const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *descriptor)
{
    return descriptor ? make((struct object **)memory, descriptor->size) : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuDestroyExternalMemory(CUexternalMemory memory)
{
    return end((struct object *)memory);
}

/* Tiles of a sparse array stay mapped until it goes. */
API CUresult cuMemMapArrayAsync(CUarrayMapInfo *list, unsigned count, CUstream stream)
{
    (void)stream;
    for (unsigned i = 0; i < count; i++) {
        struct object *object = (struct object *)list[i].resource.array;
        size_t at = list[i].subresource.sparseLevel.level % 8;
        fake_lock();
        struct memory *old = object->tiles[at];
        object->tiles[at] = list[i].memOperationType == CU_MEM_OPERATION_TYPE_MAP
                                ? fake_mapped(list[i].memHandle.memHandle)
                                : NULL;
        if (old)
            fake_unmapped(old);
        fake_unlock();
    }
    return CUDA_SUCCESS;
}

API CUresult cuMemMapArrayAsync_ptsz(CUarrayMapInfo *list, unsigned count, CUstream stream)
{
    return cuMemMapArrayAsync(list, count, stream);
}
