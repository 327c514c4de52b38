/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read what the machine and the cgroups of processes have left; see checkpoint_host.h. What cannot
 * be read is no limit, except for the machine itself.
 */
#include "checkpoint_host.h"

#include "core/base/fd.h"
#include "core/base/mountinfo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 8192

/* Return false if the file cannot be read. */
static bool read_text(const char *path, char text[static TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);
    fd_close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

uint64_t checkpoint_machine_bytes(const char *proc)
{
    char path[PATH_MAX], text[TEXT_MAX];
    uint64_t kib;
    snprintf(path, sizeof(path), "%s/meminfo", proc);
    const char *line = read_text(path, text) ? strstr(text, "\nMemAvailable:") : NULL;
    return line && sscanf(line, "\nMemAvailable: %" SCNu64, &kib) == 1 ? kib << 10 : 0;
}

/* Return what a cgroup has left by its own limit; UINT64_MAX: it has none. */
static uint64_t room_of(const char *directory)
{
    char path[PATH_MAX + 32], text[TEXT_MAX];
    uint64_t most, used;
    snprintf(path, sizeof(path), "%s/memory.max", directory);
    if (!read_text(path, text) || sscanf(text, "%" SCNu64, &most) != 1)
        return UINT64_MAX;
    snprintf(path, sizeof(path), "%s/memory.current", directory);
    if (!read_text(path, text) || sscanf(text, "%" SCNu64, &used) != 1)
        return UINT64_MAX;
    return most > used ? most - used : 0;
}

/* Find where a cgroup is mounted: *ret_length is how much of the path the mount point takes. */
static bool find_directory(const char *cgroup, char directory[static PATH_MAX], size_t *ret_length)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    bool found = false;
    if (mountinfo_open(&reader, -1))
        return false;
    while (mountinfo_next(&reader, &mount)) {
        size_t length = strcmp(mount.root, "/") ? strlen(mount.root) : 0;
        if (strcmp(mount.type, "cgroup2") != 0 || strncmp(cgroup, mount.root, length) != 0)
            continue;
        found = snprintf(directory, PATH_MAX, "%s%s", mount.point, cgroup + length) < PATH_MAX;
        *ret_length = strlen(mount.point);
    }
    mountinfo_close(&reader);
    return found;
}

/* Return what the cgroup of a process and those above it have left. */
static uint64_t process_room(const char *proc, int32_t pid)
{
    char path[PATH_MAX], text[TEXT_MAX], directory[PATH_MAX];
    uint64_t least = UINT64_MAX;
    snprintf(path, sizeof(path), "%s/%d/cgroup", proc, (int)pid);
    char *line = read_text(path, text) ? strstr(text, "0::/") : NULL;
    if (!line)
        return least;
    line[strcspn(line, "\n")] = '\0';
    size_t length;
    if (!find_directory(line + strlen("0::"), directory, &length))
        return least;
    for (char *end; strlen(directory) > length + 1; *end = '\0') {
        uint64_t room = room_of(directory);
        least = room < least ? room : least;
        end = strrchr(directory, '/');
    }
    return least;
}

uint64_t checkpoint_host_bytes(const char *proc, const struct checkpoint_answer *answer)
{
    uint64_t least = answer->machine_bytes;
    for (uint32_t i = 0; i < answer->count; i++) {
        uint64_t room =
            answer->process[i].bytes ? process_room(proc, answer->process[i].pid) : UINT64_MAX;
        least = room < least ? room : least;
    }
    return least;
}
