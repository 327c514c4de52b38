/* SPDX-License-Identifier: Apache-2.0 */
/* Validate an answer: nothing that a driver process sends is trusted. */
#include "usage_state.h"

#include "core/base/line.h"

#include <string.h>

/* Read a received bool as a byte: a value other than 0 or 1 is undefined behaviour. */
static bool flag_is_good(const bool *flag)
{
    unsigned char byte;
    memcpy(&byte, flag, 1);
    return byte <= 1;
}

static bool device_is_good(const struct usage_device *device)
{
    if (!flag_is_good(&device->known) || !flag_is_good(&device->summed))
        return false;
    return device->used_bytes <= (device->known ? INT64_MAX : 0) &&
           line_fits(device->note, 0, sizeof(device->note));
}

bool usage_answer_is_good(const struct usage_answer *answer, const struct gpu_usage_process *rows,
                          uint32_t device_count)
{
    if (!line_fits(answer->note, 0, sizeof(answer->note)))
        return false;
    for (uint32_t i = 0; i < device_count; i++) {
        if (!device_is_good(&answer->device[i]))
            return false;
    }
    for (uint32_t i = 0; i < answer->process_count; i++) {
        const struct gpu_usage_process *row = &rows[i];
        if (row->pid <= 0 || row->device >= device_count || row->busy_ns > INT64_MAX ||
            row->shared_bytes > row->memory_bytes || row->shared_bytes > INT64_MAX ||
            (row->memory_bytes > INT64_MAX && row->memory_bytes != GPU_BYTES_UNKNOWN))
            return false;
    }
    return true;
}
