/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for vendors that find device nodes. They must not know any vendor. */
#ifndef CHRONOS_GPU_NODE_FILES_H
#define CHRONOS_GPU_NODE_FILES_H

#include "vendor.h"

/* Replace each NULL root by its default. `roots` may be NULL. */
struct gpu_roots gpu_roots_full(const struct gpu_roots *roots);
/* Return 0 or -ENAMETOOLONG. */
int gpu_path(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Report DEV/NAME if it exists. Return 0, the result of search->fn, or -ENAMETOOLONG. */
int gpu_node_found(const struct gpu_node_search *search, bool shared, const char *name);
/* True for "card0" with the prefix "card": a number follows the prefix. */
bool gpu_is_numbered(const char *name, const char *prefix);

#endif
