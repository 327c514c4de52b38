/* SPDX-License-Identifier: Apache-2.0 */
/* The list of vendors, generated from the names in meson.build, and lists of devices. It must not
 * know what a vendor does. */
#include "vendor.h"

#include "vendor_list.h" /* VENDOR_LIST(X): made by meson.build */

#include <stdio.h>
#include <string.h>

#define DECLARE(name) extern const struct gpu_vendor gpu_##name;
VENDOR_LIST(DECLARE)

#define ENTRY(name) &gpu_##name,
const struct gpu_vendor *const gpu_vendors[] = {VENDOR_LIST(ENTRY) NULL};

_Static_assert(sizeof(gpu_vendors) / sizeof(gpu_vendors[0]) - 1 <= GPU_VENDOR_MAX, "bits");

void gpu_list_copy(struct gpu_list *to, const struct gpu_list *from)
{
    memcpy(to, from, offsetof(struct gpu_list, device) + from->count * sizeof(from->device[0]));
}

void gpu_list_clear(struct gpu_list *list, const char *note)
{
    list->count = list->layered = 0;
    snprintf(list->note, sizeof(list->note), "%s", note);
}

const struct gpu_vendor *gpu_vendor_find(const char *name)
{
    for (size_t i = 0; gpu_vendors[i]; i++)
        if (!strcmp(gpu_vendors[i]->name, name))
            return gpu_vendors[i];
    return NULL;
}
