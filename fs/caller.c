/* SPDX-License-Identifier: Apache-2.0 */
/* Who is calling; see caller.h. The caller waits for us, so its pid is its own. */
#include "caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The inode number of a namespace names it. 0 when it cannot be seen. */
static uint64_t namespace_of(int32_t pid, const char *kind)
{
    char path[64];
    struct stat st;
    if (pid)
        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
    else
        snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
    return stat(path, &st) ? 0 : (uint64_t)st.st_ino;
}

int caller_init(struct tree *tree)
{
    tree->own_user_ns = namespace_of(0, "user");
    tree->own_pid_ns = namespace_of(0, "pid");
    return tree->own_user_ns && tree->own_pid_ns ? 0 : -ENOENT;
}

/* Whether a thread is in a group, by its own or a supplementary gid. */
static bool in_group(int32_t pid, uint32_t gid, uint32_t group)
{
    if (gid == group)
        return true;
    char path[64], line[16384];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    bool found = false;
    while (!found && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "Groups:", 7) != 0)
            continue;
        char *at = line + 7, *end;
        for (;; at = end) {
            unsigned long number = strtoul(at, &end, 10);
            if (end == at)
                break;
            found |= number == group;
        }
        break;
    }
    fclose(file);
    return found;
}

int32_t caller_process(int32_t tid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    int fd = tid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return tid;
    text[n] = '\0';
    const char *line = strstr(text, "\nTgid:");
    return line ? (int32_t)strtol(line + 6, NULL, 10) : tid;
}

void caller_get(struct tree *tree, uint32_t uid, uint32_t gid, int32_t pid,
                struct caller *ret_caller)
{
    struct caller caller = {.uid = uid, .gid = gid, .pid = pid};
    if (uid == 0) {
        uint64_t user_ns = pid > 0 ? namespace_of(pid, "user") : 0;
        uint64_t pid_ns = pid > 0 ? namespace_of(pid, "pid") : 0;
        caller.admin = user_ns == tree->own_user_ns && pid_ns == tree->own_pid_ns;
        /* A container's root acts on what its own container asked for, only. One
         * that cannot be told apart from others (0) gets a value of its own. */
        if (!caller.admin)
            caller.ns = pid_ns ? pid_ns : UINT64_MAX;
    } else {
        caller.admin = uid == tree->shared->admin_uid ||
                       (tree->admin_gid != UINT32_MAX && in_group(pid, gid, tree->admin_gid));
        caller.by_mode = true;
    }
    *ret_caller = caller;
}
