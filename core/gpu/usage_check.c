/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both ends of a usage reader do: the list of backends, devices and their names, and
 * whether an answer can be true. A new vendor's word goes into the list here.
 */
#include "usage_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

const struct usage_backend *const usage_backends[] = {&usage_drm, &usage_nvml, NULL};

const char *usage_backend_name(const struct usage_backend *backend)
{
    return backend->name;
}

const char *usage_backend_help(const struct usage_backend *backend)
{
    return backend->help;
}

int64_t usage_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* -- which device is meant ------------------------------------------------------ */

static bool same_uuid(const char *a, const char *b)
{
    return a[0] != '\0' && strcasecmp(a, b) == 0;
}

/* The domain has four digits or eight, so what is before the first colon is a number. */
static bool same_pci(const char *a, const char *b)
{
    while (*a == '0')
        a++;
    while (*b == '0')
        b++;
    return strchr(a, ':') != NULL && strcasecmp(a, b) == 0;
}

int usage_match(const struct usage_hello *hello, const char *uuid, const char *pci)
{
    int found = -1;
    for (uint32_t i = 0; i < hello->device_count; i++) {
        if (same_uuid(hello->device[i].uuid, uuid))
            return (int)i;
    }
    for (uint32_t i = 0; i < hello->device_count; i++) {
        if (!same_pci(hello->device[i].pci, pci))
            continue;
        if (found >= 0)
            return -1; /* parts of one card: what the card uses is not what they use */
        found = (int)i;
    }
    return found;
}

/* -- what can be true ----------------------------------------------------------- */

static bool line_is_good(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    }
    return length < size;
}

/* A bool that is neither 0 nor 1 must not be read as one. */
static bool flag_is_good(const bool *flag)
{
    unsigned char byte;
    memcpy(&byte, flag, 1);
    return byte <= 1;
}

static bool device_is_good(const struct usage_device *device, bool exists)
{
    if (!flag_is_good(&device->known) || !flag_is_good(&device->summed))
        return false;
    if (!exists && device->known)
        return false;
    return device->used_bytes <= (device->known ? INT64_MAX : 0) &&
           line_is_good(device->note, sizeof(device->note));
}

bool usage_answer_is_good(const struct usage_answer *answer, const struct gpu_usage_process *rows,
                          uint32_t device_count)
{
    if (!line_is_good(answer->note, sizeof(answer->note)))
        return false;
    for (uint32_t i = 0; i < GPU_DEVICE_MAX; i++) {
        if (!device_is_good(&answer->device[i], i < device_count))
            return false;
    }
    for (uint32_t i = 0; i < answer->process_count; i++) {
        const struct gpu_usage_process *row = &rows[i];
        if (row->pid <= 0 || row->device >= device_count || row->busy_ns > INT64_MAX ||
            (row->memory_bytes > INT64_MAX && row->memory_bytes != GPU_BYTES_UNKNOWN))
            return false;
    }
    return true;
}
