/* SPDX-License-Identifier: Apache-2.0 */
/* The list of vendors, generated from the names in meson.build. It must not know what a vendor
 * does. */
#include "vendor.h"

#include "vendor_list.h" /* VENDOR_LIST(X): made by meson.build */

#include <string.h>

#define DECLARE(name) extern const struct gpu_vendor gpu_##name;
VENDOR_LIST(DECLARE)

#define ENTRY(name) &gpu_##name,
const struct gpu_vendor *const gpu_vendors[] = {VENDOR_LIST(ENTRY) NULL};

_Static_assert(sizeof(gpu_vendors) / sizeof(gpu_vendors[0]) - 1 <= GPU_VENDOR_MAX, "bits");

const struct gpu_vendor *gpu_vendor_find(const char *name)
{
    for (size_t i = 0; gpu_vendors[i]; i++)
        if (!strcmp(gpu_vendors[i]->name, name))
            return gpu_vendors[i];
    return NULL;
}
