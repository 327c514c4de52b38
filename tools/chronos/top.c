/* SPDX-License-Identifier: Apache-2.0 */
/* Read what `chronos top` shows; see top.h. */
#include "top.h"

#include "output.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t row_mask =
    1u << CHRONOS_PARTITION_USER | 1u << CHRONOS_PARTITION_NAME | 1u << CHRONOS_PARTITION_DEVICE |
    1u << CHRONOS_PARTITION_FRACTION | 1u << CHRONOS_PARTITION_MEMORY |
    1u << CHRONOS_PARTITION_MEMORY_USED | 1u << CHRONOS_PARTITION_REMAINING |
    1u << CHRONOS_PARTITION_START | 1u << CHRONOS_PARTITION_EXPIRES | 1u << CHRONOS_PARTITION_STATE;

static void copy(char *to, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(to, text, length);
    to[length] = '\0';
}

static struct top_row row_of(const struct chronos_partition *partition)
{
    const struct chronos_record *record = &partition->record;
    struct top_row row = {.bytes = chronos_number(record->value[CHRONOS_PARTITION_MEMORY])};
    time_t start, now = time(NULL);
    copy(row.id, sizeof(row.id), partition->id);
    copy(row.device, sizeof(row.device), record->value[CHRONOS_PARTITION_DEVICE]);
    output_share_text(record->value[CHRONOS_PARTITION_FRACTION], row.share, sizeof(row.share));
    copy(row.state, sizeof(row.state), record->value[CHRONOS_PARTITION_STATE]);
    copy(row.user, sizeof(row.user), record->value[CHRONOS_PARTITION_USER]);
    copy(row.name, sizeof(row.name), record->value[CHRONOS_PARTITION_NAME]);
    row.used = chronos_number(record->value[CHRONOS_PARTITION_MEMORY_USED]);
    row.remaining = chronos_number(record->value[CHRONOS_PARTITION_REMAINING]);
    output_time_read(record->value[CHRONOS_PARTITION_EXPIRES], &row.end);
    row.pending = strcmp(row.state, "pending") == 0;
    if (row.pending && output_time_read(record->value[CHRONOS_PARTITION_START], &start))
        row.until_start = start > now ? (uint64_t)(start - now) : 0;
    return row;
}

static int more_first(uint64_t a, uint64_t b)
{
    return a > b ? -1 : a < b;
}

static int compare(const void *a, const void *b, void *order)
{
    const struct top_row *left = a, *right = b;
    int r = 0;
    if (left->pending != right->pending)
        return left->pending ? 1 : -1;
    if (left->pending)
        r = more_first(right->until_start, left->until_start);
    else if (*(enum top_order *)order == TOP_BY_SIZE)
        r = more_first(left->bytes, right->bytes);
    else if (*(enum top_order *)order == TOP_BY_USE)
        r = more_first(left->used, right->used);
    else if (*(enum top_order *)order == TOP_BY_USER)
        r = strcmp(left->user, right->user);
    if (!r)
        r = left->end < right->end ? -1 : left->end > right->end;
    return r ? r : strverscmp(left->id, right->id);
}

static int load_rows(const struct chronos_mount *mount, const struct select *select,
                     struct top *top)
{
    uint64_t *ids = NULL;
    size_t count = 0, room = 0;
    int r = select_list(mount, select, &ids, &count);
    for (size_t i = 0; i < count && !r; i++) {
        struct chronos_partition partition;
        char id[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%llu", (unsigned long long)ids[i]);
        int loaded = chronos_partition_load(mount, id, row_mask | select->mask, &partition);
        if (loaded == -ENOTCONN)
            r = loaded;
        if (loaded || !select_passes(select, &partition))
            continue;
        r = array_reserve(top->rows, room, top->row_count + 1) ? -ENOMEM : 0;
        if (!r)
            top->rows[top->row_count++] = row_of(&partition);
    }
    free(ids);
    return r;
}

int top_load(const struct chronos_mount *mount, const struct select *select, enum top_order order,
             struct top *ret_top)
{
    struct top top = {.row_count = 0};
    size_t kept = 0;
    int r = chronos_device_load_all(mount, CHRONOS_ALL, &top.devices, &top.device_count);
    for (size_t i = 0; i < top.device_count; i++) {
        if (!top.devices[i].failure)
            top.devices[kept++] = top.devices[i];
    }
    top.device_count = kept;
    if (!r)
        r = load_rows(mount, select, &top);
    if (r < 0) {
        top_release(&top);
        return r;
    }
    if (top.row_count > 1)
        qsort_r(top.rows, top.row_count, sizeof(*top.rows), compare, &order);
    *ret_top = top;
    return 0;
}

void top_release(struct top *top)
{
    free(top->devices);
    free(top->rows);
    *top = (struct top){.row_count = 0};
}
