/* SPDX-License-Identifier: Apache-2.0 */
/* Read what `chronos top` shows; see top.h. */
#include "top.h"

#include "device.h"
#include "load.h"
#include "output.h"
#include "user.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint32_t row_mask =
    1u << CHRONOS_PARTITION_USER | 1u << CHRONOS_PARTITION_NAME | 1u << CHRONOS_PARTITION_DEVICE |
    1u << CHRONOS_PARTITION_FRACTION | 1u << CHRONOS_PARTITION_MEMORY |
    1u << CHRONOS_PARTITION_MEMORY_USED | 1u << CHRONOS_PARTITION_REMAINING |
    1u << CHRONOS_PARTITION_EXPIRES | 1u << CHRONOS_PARTITION_STATE;

static void copy(char *to, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(to, text, length);
    to[length] = '\0';
}

/* Write "gpu0,gpu2" as "gpu0+1". */
static void copy_device(char *to, size_t size, const char *devices)
{
    size_t first = strcspn(devices, ","), more = 0;
    for (const char *at = devices; *at != '\0'; at++)
        more += *at == ',';
    if (more > 0)
        snprintf(to, size, "%.*s+%zu", (int)(first < 8 ? first : 8), devices, more);
    else
        copy(to, size, devices);
}

static struct top_row row_of(const struct chronos_partition *partition)
{
    const struct chronos_record *record = &partition->record;
    struct top_row row = {.bytes = chronos_number(record->value[CHRONOS_PARTITION_MEMORY])};
    copy(row.id, sizeof(row.id), partition->id);
    copy_device(row.device, sizeof(row.device), record->value[CHRONOS_PARTITION_DEVICE]);
    output_share_text(record->value[CHRONOS_PARTITION_FRACTION], row.share, sizeof(row.share));
    copy(row.state, sizeof(row.state), record->value[CHRONOS_PARTITION_STATE]);
    copy(row.user, sizeof(row.user), record->value[CHRONOS_PARTITION_USER]);
    copy(row.name, sizeof(row.name), record->value[CHRONOS_PARTITION_NAME]);
    row.used = chronos_number(record->value[CHRONOS_PARTITION_MEMORY_USED]);
    row.remaining = chronos_number(record->value[CHRONOS_PARTITION_REMAINING]);
    output_time_read(record->value[CHRONOS_PARTITION_EXPIRES], &row.end);
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
    if (*(enum top_order *)order == TOP_BY_SIZE)
        r = more_first(left->bytes, right->bytes);
    else if (*(enum top_order *)order == TOP_BY_USE)
        r = more_first(left->used, right->used);
    else if (*(enum top_order *)order == TOP_BY_USER)
        r = strcmp(left->user, right->user);
    if (!r)
        r = left->end < right->end ? -1 : left->end > right->end;
    return r ? r : strverscmp(left->id, right->id);
}

/* Read what waits. A tree of a version without a queue has nothing that waits. */
static int load_waiting(const struct chronos_mount *mount, struct top *top)
{
    int r = queue_load(mount, NULL, &top->waiting, &top->waiting_count);
    return r == -ENOENT ? 0 : r;
}

/* Take out of `ids` what waits: there may be much of it, and its line of the queue says enough. */
static int leave_out_waiting(const struct top *top, uint64_t *ids, size_t *count)
{
    const struct queue_row **sorted;
    size_t kept = 0;
    int r = queue_sort_by_id(top->waiting, top->waiting_count, &sorted);
    if (r)
        return r;
    for (size_t i = 0; i < *count; i++) {
        if (!queue_find(sorted, top->waiting_count, ids[i]))
            ids[kept++] = ids[i];
    }
    *count = kept;
    free(sorted);
    return 0;
}

struct loading {
    const struct select *select;
    struct top *top;
    size_t room;
    int r;
};

static bool take_row(void *context, int r, const struct chronos_partition *partition)
{
    struct loading *loading = context;
    struct top *top = loading->top;
    if (r == -ENOTCONN)
        loading->r = r;
    if (r || !select_passes(loading->select, partition) ||
        strcmp(partition->record.value[CHRONOS_PARTITION_STATE], "pending") == 0)
        return !loading->r;
    loading->r = array_reserve(top->rows, loading->room, top->row_count + 1) ? -ENOMEM : 0;
    if (!loading->r)
        top->rows[top->row_count++] = row_of(partition);
    return !loading->r;
}

static int load_rows(const struct chronos_mount *mount, const struct select *select,
                     struct top *top)
{
    struct loading loading = {.select = select, .top = top};
    uint64_t *ids = NULL;
    size_t count = 0;
    int r = select_list(mount, select, &ids, &count);
    if (!r)
        r = leave_out_waiting(top, ids, &count);
    if (!r)
        r = load_each(mount, ids, count, row_mask | select->mask, take_row, &loading);
    free(ids);
    return r ? r : loading.r;
}

/* Keep what `select` lets through; the queue does not know labels. */
static void select_waiting(const struct select *select, struct top *top)
{
    char own[USERNAME_MAX + 1] = "", number[16];
    size_t kept = 0;
    if (select->by_uid) {
        user_of_uid(select->uid, own);
        snprintf(number, sizeof(number), "%u", (unsigned)select->uid);
    }
    for (size_t i = 0; i < top->waiting_count; i++) {
        const struct queue_row *row = &top->waiting[i];
        bool user = select->by_uid ? strcmp(row->user, own) == 0 || strcmp(row->user, number) == 0
                                   : !select->user || strcmp(row->user, select->user) == 0;
        if (user && !select->name && device_is_among(select->device, row->devices))
            top->waiting[kept++] = *row;
    }
    top->waiting_count = kept;
}

/* Read the value of a line KEY VALUE; "" if there is none. */
static void take_key(const char *text, const char *key, char *value, size_t size)
{
    size_t length = strlen(key);
    value[0] = '\0';
    for (const char *line = text; *line != '\0'; line += *line == '\n') {
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
        line += strcspn(line, "\n");
    }
}

/* Shorten a decimal number to two places. */
static void shorten(char *number)
{
    char *point = strchr(number, '.');
    if (point && strlen(point) > 3)
        point[3] = '\0';
}

/* Read what the caller has used, if the tree tells: it decides who of those that wait goes first.
 */
static void load_usage(const struct chronos_mount *mount, struct top *top)
{
    char own[USERNAME_MAX + 1], path[USERNAME_MAX + 16], text[1024];
    char held[32], hours[32], share[32];
    if (!user_of_uid(geteuid(), own))
        return;
    snprintf(path, sizeof(path), "users/%s/usage", own);
    if (strchr(own, '/') || chronos_read(mount->root, path, text, sizeof(text)) < 0)
        return;
    chronos_clean(text);
    take_key(text, "held", held, sizeof(held));
    take_key(text, "hours_week", hours, sizeof(hours));
    take_key(text, "share", share, sizeof(share));
    shorten(held);
    shorten(hours);
    if (hours[0] != '\0')
        snprintf(top->usage, sizeof(top->usage),
                 "%s: %s of a device held, %s GPU-hours this week, %s%% of all use", own, held,
                 hours, share);
}

static bool is_held(const struct chronos_device *device)
{
    return chronos_number(device->record.value[CHRONOS_DEVICE_MEMORY_USED]) > 0;
}

static int compare_devices(const void *a, const void *b)
{
    const struct chronos_device *left = a, *right = b;
    if (is_held(left) != is_held(right))
        return is_held(left) ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
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
    if (kept > 1)
        qsort(top.devices, kept, sizeof(*top.devices), compare_devices);
    if (!r)
        r = load_waiting(mount, &top);
    if (!r)
        r = load_rows(mount, select, &top);
    if (r < 0) {
        top_release(&top);
        return r;
    }
    if (top.row_count > 1)
        qsort_r(top.rows, top.row_count, sizeof(*top.rows), compare, &order);
    select_waiting(select, &top);
    if (top.waiting_count > 0)
        load_usage(mount, &top);
    *ret_top = top;
    return 0;
}

void top_release(struct top *top)
{
    free(top->devices);
    free(top->rows);
    free(top->waiting);
    *top = (struct top){.row_count = 0};
}
