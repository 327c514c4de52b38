/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of an fdinfo file may be any bytes: figures stay in their bounds, names are
 * terminated, and nothing is read beyond the text.
 */
#include "core/gpu/drm_fdinfo.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drm_fdinfo info;
    if (!drm_fdinfo_parse((const char *)data, size, &info))
        return 0;
    if (info.memory_bytes > INT64_MAX || info.busy_ns > INT64_MAX ||
        strnlen(info.driver, sizeof(info.driver)) == sizeof(info.driver) ||
        strnlen(info.pdev, sizeof(info.pdev)) == sizeof(info.pdev) || info.driver[0] == '\0' ||
        (!info.has_memory && info.memory_bytes != 0))
        abort();
    return 0;
}
