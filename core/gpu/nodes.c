/* SPDX-License-Identifier: Apache-2.0 */
/* Collect device nodes from the vendors; see nodes.h. */
#include "nodes.h"

#include "node_files.h"

int gpu_nodes(const struct gpu_device *device, const struct gpu_roots *roots, gpu_node_fn *fn,
              void *context)
{
    const struct gpu_node_search search = {device, gpu_roots_full(roots), fn, context};
    int r = 0;
    for (size_t i = 0; !r && gpu_vendors[i]; i++)
        if (gpu_vendors[i]->nodes)
            r = gpu_vendors[i]->nodes(&search);
    return r;
}

bool gpu_nodes_reopened(const struct gpu_roots *roots, struct message *message)
{
    const struct gpu_roots full = gpu_roots_full(roots);
    message->text[0] = '\0';
    for (size_t i = 0; gpu_vendors[i]; i++)
        if (gpu_vendors[i]->reopened && gpu_vendors[i]->reopened(&full, message))
            return true;
    return false;
}
