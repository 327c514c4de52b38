/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of usage; see usage_rows.h. */
#include "usage_rows.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdlib.h>

int usage_rows_add(struct usage_rows *rows, const struct gpu_usage_process *row)
{
    int r = array_reserve(rows->row, rows->capacity, rows->count + 1);
    if (!r)
        rows->row[rows->count++] = *row;
    return r;
}

static int by_place(const void *left, const void *right)
{
    const struct gpu_usage_process *a = left, *b = right;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static uint64_t known(uint64_t bytes)
{
    return bytes == GPU_BYTES_UNKNOWN ? 0 : bytes;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b; /* both are at most INT64_MAX */
}

static uint64_t bound(uint64_t amount)
{
    return amount > INT64_MAX ? INT64_MAX : amount;
}

static void merge_two(struct gpu_usage_process *into, const struct gpu_usage_process *from,
                      enum usage_merge merge)
{
    uint64_t a = known(into->memory_bytes), b = known(from->memory_bytes);
    bool unknown =
        into->memory_bytes == GPU_BYTES_UNKNOWN && from->memory_bytes == GPU_BYTES_UNKNOWN;

    if (merge == USAGE_SUM) {
        into->memory_bytes = add(bound(a), bound(b));
        into->shared_bytes = add(into->shared_bytes, from->shared_bytes);
        into->busy_ns = add(bound(into->busy_ns), bound(from->busy_ns));
    } else {
        into->memory_bytes = a > b ? a : b;
        into->shared_bytes = a > b ? into->shared_bytes : from->shared_bytes;
        into->busy_ns = into->busy_ns > from->busy_ns ? into->busy_ns : from->busy_ns;
    }
    if (unknown)
        into->memory_bytes = GPU_BYTES_UNKNOWN;
}

void usage_rows_merge(struct usage_rows *rows, enum usage_merge merge)
{
    size_t kept = 0;
    if (rows->count < 2)
        return;
    qsort(rows->row, rows->count, sizeof(*rows->row), by_place);
    for (size_t i = 1; i < rows->count; i++) {
        if (by_place(&rows->row[kept], &rows->row[i]) == 0)
            merge_two(&rows->row[kept], &rows->row[i], merge);
        else
            rows->row[++kept] = rows->row[i];
    }
    rows->count = kept + 1;
}

static int by_memory(const void *left, const void *right)
{
    const struct gpu_usage_process *a = left, *b = right;
    uint64_t x = known(a->memory_bytes), y = known(b->memory_bytes);
    if (x != y)
        return x > y ? -1 : 1;
    return by_place(left, right);
}

size_t usage_rows_cut(struct usage_rows *rows, size_t most)
{
    if (rows->count <= most)
        return 0;
    size_t gone = rows->count - most;
    qsort(rows->row, rows->count, sizeof(*rows->row), by_memory);
    rows->count = most;
    if (most > 0)
        qsort(rows->row, rows->count, sizeof(*rows->row), by_place);
    return gone;
}

struct gpu_usage_process *usage_rows_find(const struct usage_rows *rows, uint32_t device,
                                          int32_t pid)
{
    const struct gpu_usage_process key = {.device = device, .pid = pid};
    if (rows->count == 0)
        return NULL;
    return bsearch(&key, rows->row, rows->count, sizeof(key), by_place);
}

void usage_rows_free(struct usage_rows *rows)
{
    free(rows->row);
    *rows = (struct usage_rows){0};
}
