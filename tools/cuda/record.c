/* SPDX-License-Identifier: Apache-2.0 */
/* Make and end entries; see record.h. */
#include "record.h"

#include "blocks.h"
#include "contexts.h"
#include "pools.h"
#include "reserve.h"

#include <stdlib.h>

uint64_t record_rounded(uint64_t bytes)
{
    return bytes > UINT64_MAX - BLOCK_BYTES ? UINT64_MAX
                                            : (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

CUresult record_begin(enum entry_kind kind, uint64_t bytes, struct entry **ret_entry)
{
    CUdevice device;
    *ret_entry = NULL;
    CUresult r = contexts_device(&device);
    if (r != CUDA_SUCCESS || device < 0)
        return r;
    struct entry *entry = entries_new(kind, device);
    if (!entry)
        return CUDA_ERROR_OUT_OF_MEMORY;
    entry->small = kind == ENTRY_POINTER && bytes > 0 && bytes <= BLOCK_SMALL;
    r = entry->small ? reserve_block(device)
                     : reserve_bytes(&entry->account, device, record_rounded(bytes));
    if (r == CUDA_ERROR_OUT_OF_MEMORY && entry->small)
        r = CUDA_SUCCESS; /* it may go into a block that is there */
    if (r != CUDA_SUCCESS) {
        free(entry);
        return r;
    }
    entry->bytes = bytes;
    entry->context = contexts_current();
    *ret_entry = entry;
    return CUDA_SUCCESS;
}

CUresult record_finish(CUresult r, struct entry *entry, uint64_t key)
{
    if (!entry)
        return r;
    if (r == CUDA_SUCCESS && entry->small) {
        r = blocks_add(entry->device, key);
        if (r != CUDA_SUCCESS && REAL(cuMemFree_v2))
            REAL(cuMemFree_v2)(key); /* in a new block, which does not fit */
    } else if (entry->small) {
        blocks_cancel(entry->device);
    }
    if (r == CUDA_SUCCESS) {
        record_add(entry, key);
    } else {
        account_end(&entry->account);
        free(entry);
    }
    return r;
}

void record_add(struct entry *entry, uint64_t key)
{
    record_end(entries_add(entry, key));
}

void record_unmapped(struct entry *memory)
{
    if (entries_count(memory, 0, -1))
        record_end(memory);
}

void record_end(struct entry *entry)
{
    if (!entry)
        return;
    if (entry->small)
        blocks_remove(entry->device, entry->key);
    else if (entry->pool)
        pools_freed(entry->pool, entry->bytes);
    else if (entry->kind == ENTRY_CAPTURE)
        pools_capture_end();
    else if (entry->memory)
        record_unmapped(entry->memory);
    else
        account_end(&entry->account);
    free(entry);
}

void record_end_all(struct entry *list)
{
    for (struct entry *entry = list, *next; entry; entry = next) {
        next = entry->next;
        record_end(entry);
    }
}

void record_add_all(struct entry *list)
{
    for (struct entry *entry = list, *next; entry; entry = next) {
        next = entry->next;
        entry->next = NULL;
        record_add(entry, entry->key);
    }
}
