/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of backends. A new vendor is one file beside this one, one line in
 * gpu.h and one word here. It must not know what a backend does.
 */
#include "gpu.h"

#include <string.h>

const struct gpu_backend *const gpu_backends[] = {&gpu_opencl, &gpu_simulated, NULL};

const struct gpu_backend *gpu_backend_find(const char *name)
{
    for (size_t i = 0; gpu_backends[i] != NULL; i++) {
        if (strcmp(gpu_backends[i]->name, name) == 0)
            return gpu_backends[i];
    }
    return NULL;
}
