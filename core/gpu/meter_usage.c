/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts what the backends said together to one answer; see meter.h. It must not know
 * how they were asked.
 */
#include "meter_state.h"

#include <stdio.h>
#include <string.h>

static void name_backend(struct gpu_usage_device *device, const char *name)
{
    snprintf(device->backend, sizeof(device->backend), "%s", name);
}

/* Devices that nobody told about: because of whom? */
static void explain(struct meter *meter)
{
    for (uint32_t i = 0; i < meter->hello.device_count; i++) {
        struct gpu_usage_device *device = &meter->usage.device[i];
        for (size_t b = 0; meter_backends[b] != NULL; b++) {
            const struct standing *standing = &meter->standing[b];
            if (device->known || device->note[0] != '\0' || (standing->others >> i & 1) != 0)
                continue;
            memcpy(device->note, standing->note, sizeof(device->note));
            if (device->note[0] != '\0')
                name_backend(device, meter_backends[b]->name);
        }
    }
}

/* What a process did since the last answer, on top of what was told then: its sum falls
 * when it closes one of several contexts, when another process has its number, and to 0
 * when a new process of ours counts from there. */
static uint64_t count_on(const struct meter *meter, const struct gpu_usage_process *row)
{
    const struct gpu_usage_process *old = meter_rows_find(&meter->before, row->device, row->pid);
    if (old == NULL)
        return row->busy_ns;
    uint64_t told = meter->told.row[old - meter->before.row].busy_ns;
    return row->busy_ns > old->busy_ns ? told + (row->busy_ns - old->busy_ns) : told;
}

static void tell_rows(struct meter *meter)
{
    struct gpu_usage *usage = &meter->usage;
    struct meter_rows told = {0};

    meter_rows_merge(&meter->rows, METER_MAX);
    usage->process_lost += (uint32_t)meter_rows_cut(&meter->rows, GPU_USAGE_PROCESS_MAX);
    for (size_t i = 0; i < meter->rows.count; i++) {
        struct gpu_usage_process row = meter->rows.row[i];
        row.busy_ns = count_on(meter, &row);
        usage->process[i] = row;
        if (meter_rows_add(&told, &row) < 0) {
            meter->rows.count = i; /* no memory: what cannot be remembered begins anew */
            break;
        }
        usage->process_count = (uint32_t)i + 1;
    }
    meter_rows_free(&meter->before);
    meter_rows_free(&meter->told);
    meter->before = meter->rows;
    meter->told = told;
    meter->rows = (struct meter_rows){0};
}

static void take_device(struct meter *meter, uint32_t backend, uint32_t index)
{
    const struct meter_device *told = &meter->message.answer.device[index];
    struct gpu_usage_device *device = &meter->usage.device[index];

    if (!told->known && told->note[0] == '\0')
        return;
    device->known = told->known;
    device->summed = told->summed;
    device->used_bytes = told->used_bytes;
    name_backend(device, meter_backends[backend]->name);
    memcpy(device->note, told->note, sizeof(device->note));
}

void meter_usage_take(struct meter *meter, uint32_t backend)
{
    const struct meter_answer *answer = &meter->message.answer;
    struct standing *standing = &meter->standing[backend];
    uint64_t knows = 0;

    for (uint32_t i = 0; i < meter->hello.device_count; i++) {
        if (!meter->usage.device[i].known && meter->usage.device[i].note[0] == '\0') {
            take_device(meter, backend, i);
            knows |= (uint64_t)(answer->device[i].known) << i;
        }
        if (answer->note[0] == '\0') {
            bool other = !answer->device[i].known && answer->device[i].note[0] == '\0';
            standing->others = (standing->others & ~(UINT64_C(1) << i)) | (uint64_t)other << i;
        }
    }
    memcpy(standing->note, answer->note, sizeof(standing->note));
    meter->usage.process_lost += answer->process_lost;
    for (uint32_t i = 0; i < answer->process_count; i++) {
        const struct gpu_usage_process *row = &meter->message.process[i];
        if ((knows >> row->device & 1) != 0 && meter_rows_add(&meter->rows, row) < 0)
            meter->usage.process_lost++;
    }
}

void meter_usage_finish(struct meter *meter)
{
    explain(meter);
    tell_rows(meter);
    meter->usage.took_ns = meter_now_ns() - meter->usage.asked_ns;
}
