/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merge the answers of the vendors into one; see usage.h. It must not know how they were asked.
 */
#include "usage_state.h"

#include <stdio.h>
#include <string.h>

static void name_vendor(struct gpu_usage_device *device, const char *name)
{
    snprintf(device->backend, sizeof(device->backend), "%s", name);
}

/* For each device that no vendor reports, copy the note of the vendor whose failure explains it. */
static void explain(struct usage_reader *reader)
{
    for (uint32_t i = 0; i < reader->setup.device_count; i++) {
        struct gpu_usage_device *device = &reader->usage.device[i];
        for (size_t b = 0; gpu_vendors[b]; b++) {
            const struct standing *standing = &reader->standing[b];
            if (device->known || device->note[0] != '\0' || standing->other[i])
                continue;
            memcpy(device->note, standing->note, sizeof(device->note));
            if (device->note[0] != '\0')
                name_vendor(device, gpu_vendors[b]->name);
        }
    }
}

/* Add the busy time since the last answer to what was reported then. The driver's sum can fall:
 * when a process closes one of several contexts, when its pid is reused, and to 0 when a new driver
 * process starts counting. */
static uint64_t count_on(const struct usage_reader *reader, const struct gpu_usage_process *row)
{
    const struct gpu_usage_process *old = usage_rows_find(&reader->before, row->device, row->pid);
    if (!old)
        return row->busy_ns;
    uint64_t reported = reader->reported.row[old - reader->before.row].busy_ns;
    return row->busy_ns > old->busy_ns ? reported + (row->busy_ns - old->busy_ns) : reported;
}

static void report_rows(struct usage_reader *reader)
{
    struct gpu_usage *usage = &reader->usage;
    struct usage_rows reported = {0};

    usage_rows_merge(&reader->rows, USAGE_MAX);
    usage->process_lost += (uint32_t)usage_rows_cut(&reader->rows, GPU_USAGE_PROCESS_MAX);
    for (size_t i = 0; i < reader->rows.count; i++) {
        struct gpu_usage_process row = reader->rows.row[i];
        row.busy_ns = count_on(reader, &row);
        usage->process[i] = row;
        if (usage_rows_add(&reported, &row) < 0) {
            reader->rows.count = i; /* out of memory: the counters of the rest restart */
            break;
        }
        usage->process_count = (uint32_t)i + 1;
    }
    usage_rows_free(&reader->before);
    usage_rows_free(&reader->reported);
    reader->before = reader->rows;
    reader->reported = reported;
    reader->rows = (struct usage_rows){0};
}

/* Return whether the device is known now by this vendor. */
static bool take_device(struct usage_reader *reader, uint32_t vendor, uint32_t index)
{
    const struct usage_device *sent = &reader->answer.device[index];
    struct gpu_usage_device *device = &reader->usage.device[index];

    if (!sent->known && sent->note[0] == '\0')
        return false;
    device->known = sent->known;
    device->summed = sent->summed;
    device->used_bytes = sent->used_bytes;
    name_vendor(device, gpu_vendors[vendor]->name);
    memcpy(device->note, sent->note, sizeof(device->note));
    return device->known;
}

void usage_merge_take(struct usage_reader *reader, uint32_t vendor)
{
    const struct usage_answer *answer = &reader->answer;
    struct standing *standing = &reader->standing[vendor];
    bool knows[GPU_DEVICE_MAX];

    for (uint32_t i = 0; i < reader->setup.device_count; i++) {
        const struct gpu_usage_device *device = &reader->usage.device[i];
        knows[i] = !device->known && device->note[0] == '\0' && take_device(reader, vendor, i);
        if (answer->note[0] == '\0')
            standing->other[i] = !answer->device[i].known && answer->device[i].note[0] == '\0';
    }
    memcpy(standing->note, answer->note, sizeof(standing->note));
    reader->usage.process_lost += answer->process_lost;
    for (uint32_t i = 0; i < answer->process_count; i++) {
        const struct gpu_usage_process *row = &reader->rows_sent[i];
        if (knows[row->device] && usage_rows_add(&reader->rows, row) < 0)
            reader->usage.process_lost++;
    }
}

void usage_merge_finish(struct usage_reader *reader)
{
    explain(reader);
    report_rows(reader);
    reader->usage.took_ns = reader->now_ns() - reader->usage.asked_ns;
}
