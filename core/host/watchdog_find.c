/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the troubles in what was seen in one look. It must not know what came before. */
#include "watchdog_internal.h"

#include <errno.h>
#include <stdlib.h>

/* -- order -------------------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b)
{
    const struct watchdog_process *left = *(const struct watchdog_process *const *)a;
    const struct watchdog_process *right = *(const struct watchdog_process *const *)b;
    int r = COMPARE(left->pid, right->pid);
    return r != 0 ? r : COMPARE(left->start, right->start);
}

static int compare_accounts(const void *a, const void *b)
{
    const struct account *left = a, *right = b;
    return COMPARE(left->partition->id, right->partition->id);
}

int watchdog_compare_keys(const void *a, const void *b)
{
    const struct violation *left = a, *right = b;
    int r = COMPARE(left->partition_id, right->partition_id);
    if (r != 0 || left->partition_id != 0)
        return r;
    r = COMPARE(left->pid, right->pid);
    return r != 0 ? r : COMPARE(left->start, right->start);
}

/* -- finding ------------------------------------------------------------------------ */

static struct account *find_account(const struct view *view, uint64_t id)
{
    const struct watchdog_partition partition = {.id = id};
    const struct account key = {.partition = &partition};
    size_t count = view->sample->partition_count;
    return id != 0 && count > 0
               ? bsearch(&key, view->accounts, count, sizeof(key), compare_accounts)
               : NULL;
}

bool watchdog_view_knows_device(const struct view *view, uint32_t device)
{
    const struct watchdog_sample *sample = view->sample;
    return sample->device_known == NULL || device >= sample->device_count ||
           sample->device_known[device];
}

/* Books what a member uses; an unknown amount is held against nobody. */
static void add_use(struct account *account, const struct watchdog_process *row)
{
    uint64_t bytes = row->bytes == WATCHDOG_BYTES_UNKNOWN ? 0 : row->bytes;
    uint64_t counted = bytes > row->slack_bytes ? bytes - row->slack_bytes : 0;

    if (__builtin_add_overflow(account->used_bytes, counted, &account->used_bytes))
        account->used_bytes = UINT64_MAX;
    if (account->any == NULL)
        account->any = row;
    if (row->uid != 0 && bytes > 0 && (account->most == NULL || bytes > account->most->bytes))
        account->most = row;
}

/* What is known of an amount is more than nothing, and less than what is known. */
static bool is_more(uint64_t bytes, uint64_t than)
{
    if (than == WATCHDOG_BYTES_UNKNOWN)
        return bytes != WATCHDOG_BYTES_UNKNOWN;
    return bytes != WATCHDOG_BYTES_UNKNOWN && bytes > than;
}

/* The rows of one process: what it uses as a member is booked; of what it uses
 * besides, the most. */
static const struct watchdog_process *look_at_process(struct view *view, size_t first, size_t end)
{
    const struct watchdog_process *outside = NULL;
    for (size_t i = first; i < end; i++) {
        const struct watchdog_process *row = view->rows[i];
        struct account *account = find_account(view, row->partition_id);
        if (account != NULL && account->partition->ending)
            continue;
        if (account != NULL && account->partition->device == row->device)
            add_use(account, row);
        else if (outside == NULL || is_more(row->bytes, outside->bytes))
            outside = row;
    }
    return outside;
}

static void find_unmanaged(struct view *view)
{
    for (size_t i = 0, end; i < view->row_count; i = end) {
        for (end = i + 1; end < view->row_count; end++) {
            if (compare_rows(&view->rows[i], &view->rows[end]) != 0)
                break;
        }
        const struct watchdog_process *row = look_at_process(view, i, end);
        if (row != NULL)
            view->found.items[view->found.count++] = (struct violation){.pid = row->pid,
                                                                        .start = row->start,
                                                                        .pid_uid = row->uid,
                                                                        .uid = row->uid,
                                                                        .device = row->device,
                                                                        .bytes = row->bytes,
                                                                        .may_act = row->uid != 0};
    }
}

static void find_over_limit(struct view *view)
{
    for (size_t i = 0; i < view->sample->partition_count; i++) {
        const struct account *account = &view->accounts[i];
        const struct watchdog_partition *partition = account->partition;
        const struct watchdog_process *most = account->most != NULL ? account->most : account->any;
        if (account->used_bytes > partition->limit_bytes)
            view->found.items[view->found.count++] =
                (struct violation){.partition_id = partition->id,
                                   .pid = most->pid,
                                   .start = most->start,
                                   .pid_uid = most->uid,
                                   .uid = partition->uid,
                                   .device = partition->device,
                                   .bytes = account->used_bytes,
                                   .limit_bytes = partition->limit_bytes,
                                   .may_act = account->most != NULL};
    }
}

void watchdog_view_find(struct view *view)
{
    find_unmanaged(view);
    find_over_limit(view);
    qsort(view->found.items, view->found.count, sizeof(struct violation), watchdog_compare_keys);
}

/* -- memory -------------------------------------------------------------------------- */

int watchdog_view_begin(struct view *view)
{
    const struct watchdog_sample *sample = view->sample;
    size_t found = sample->process_count + sample->partition_count;
    size_t all = found + view->watchdog->violations.count;

    view->rows = calloc(sample->process_count + 1, sizeof(view->rows[0]));
    view->accounts = calloc(sample->partition_count + 1, sizeof(view->accounts[0]));
    view->found.items = calloc(found + 1, sizeof(struct violation));
    view->joined.items = calloc(all + 1, sizeof(struct violation));
    view->order = calloc(all + 1, sizeof(view->order[0]));
    if (view->rows == NULL || view->accounts == NULL || view->found.items == NULL ||
        view->joined.items == NULL || view->order == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < sample->process_count; i++) {
        const struct watchdog_process *row = &sample->processes[i];
        if (row->bytes > 0 && row->start != 0 && row->pid > 0)
            view->rows[view->row_count++] = row;
    }
    for (size_t i = 0; i < sample->partition_count; i++)
        view->accounts[i].partition = &sample->partitions[i];
    qsort(view->rows, view->row_count, sizeof(view->rows[0]), compare_rows);
    qsort(view->accounts, sample->partition_count, sizeof(view->accounts[0]), compare_accounts);
    return 0;
}

void watchdog_view_end(struct view *view)
{
    free(view->rows);
    free(view->accounts);
    free(view->found.items);
    free(view->joined.items);
    free(view->order);
}
