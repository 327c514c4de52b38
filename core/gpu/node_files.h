/* SPDX-License-Identifier: Apache-2.0 */
/* What vendors need to find device nodes. It must not know a vendor. */
#ifndef CHRONOS_GPU_NODE_FILES_H
#define CHRONOS_GPU_NODE_FILES_H

#include "vendor.h"

/* The roots with the usual places instead of NULL. `roots` may be NULL. */
struct gpu_roots gpu_roots_full(const struct gpu_roots *roots);
/* 0 or -ENAMETOOLONG */
int gpu_path(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Passes DEV/NAME on if it is there. 0, what search->fn returned, or -ENAMETOOLONG. */
int gpu_node_found(const struct gpu_node_search *search, bool shared, const char *name);
/* "card0" for "card": whether a number follows the prefix. */
bool gpu_is_numbered(const char *name, const char *prefix);

#endif
