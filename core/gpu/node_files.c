/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of device nodes; see node_files.h. This file must not open a node. */
#include "node_files.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct gpu_roots gpu_roots_full(const struct gpu_roots *roots)
{
    struct gpu_roots full = {"/proc", "/sys", "/dev"};
    if (roots && roots->proc)
        full.proc = roots->proc;
    if (roots && roots->sys)
        full.sys = roots->sys;
    if (roots && roots->dev)
        full.dev = roots->dev;
    return full;
}

int gpu_path(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int gpu_node_found(const struct gpu_node_search *search, bool shared, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    int r = gpu_path(path, "%s/%s", search->roots.dev, name);
    if (r)
        return r;
    return lstat(path, &st) ? 0 : search->fn(search->context, path, shared);
}

bool gpu_is_numbered(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return !strncmp(name, prefix, length) && name[length] != '\0' &&
           name[length + strspn(name + length, "0123456789")] == '\0';
}
