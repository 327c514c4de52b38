/* SPDX-License-Identifier: Apache-2.0 */
/* Find the program and its files; see program.h. */
#include "program.h"

#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int program_find(char *ret_path, int *ret_fd, struct message *message)
{
    ssize_t length = readlink("/proc/self/exe", ret_path, PATH_MAX - 1);
    int fd = length < 0 ? -1 : open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (fd < 0)
        return message_set(-ENOENT, message, "Cannot read /proc/self/exe: %s.", strerror(errno));
    ret_path[length] = '\0';
    *ret_fd = fd;
    return 0;
}

void program_find_layer(const char *program_path, char *ret_layer)
{
    static const char name[] = "libchronos-opencl.so";
    char path[PATH_MAX + sizeof("/../tools/opencl/") + sizeof(name)], *slash;
    ret_layer[0] = '\0';
    snprintf(path, sizeof(path), "%s", program_path);
    if (!(slash = strrchr(path, '/')))
        return;
    snprintf(slash, sizeof(path) - (size_t)(slash - path), "/../tools/opencl/%s", name);
    if (!realpath(path, ret_layer))
        snprintf(ret_layer, PATH_MAX, "%s/%s", CHRONOS_LIBRARIES, name);
    bool colon = strchr(ret_layer, ':'); /* OPENCL_LAYERS is a list separated by colons */
    if (colon)
        log_say("Cannot use %s in OPENCL_LAYERS: its path has a colon.", ret_layer);
    if (colon || access(ret_layer, R_OK) != 0)
        ret_layer[0] = '\0';
}
