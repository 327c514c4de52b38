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

/* Find a file of tools/ROOM: in the build directory if the program runs there, else in `installed`.
 */
static void find_beside(const char *program_path, const char *room, const char *name,
                        const char *installed, char *ret_path)
{
    char path[PATH_MAX + 64], *slash;
    ret_path[0] = '\0';
    snprintf(path, sizeof(path), "%s", program_path);
    if (!(slash = strrchr(path, '/')))
        return;
    snprintf(slash, sizeof(path) - (size_t)(slash - path), "/../tools/%s/%s", room, name);
    if (!realpath(path, ret_path))
        snprintf(ret_path, PATH_MAX, "%s/%s", installed, name);
}

/* A library that programs find through a variable, a list: its path must have no separator of it.
 */
static void find_library(const char *program_path, const char *room, const char *name,
                         const char *variable, const char *separators, char *ret_library)
{
    find_beside(program_path, room, name, CHRONOS_LIBRARIES, ret_library);
    if (access(ret_library, R_OK) != 0) {
        ret_library[0] = '\0';
    } else if (ret_library[strcspn(ret_library, separators)] != '\0') {
        log_say("Cannot use %s in %s: its path has a character that means something there.",
                ret_library, variable);
        ret_library[0] = '\0';
    }
}

void program_find_libraries(const char *program_path, char *ret_opencl_layer, char *ret_cuda_shim)
{
    find_library(program_path, "opencl", "libchronos-opencl.so", "OPENCL_LAYERS", ":",
                 ret_opencl_layer);
    /* The loader also replaces $LIB and the like. */
    find_library(program_path, "cuda", "libchronos-cuda.so", "LD_PRELOAD", ": $", ret_cuda_shim);
}

void program_find_command(const char *program_path, char *ret_command)
{
    find_beside(program_path, "chronos", "chronos", CHRONOS_PROGRAMS, ret_command);
}
