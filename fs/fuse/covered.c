/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices filesystems that users mount over `partitions`: the one directory that everyone can write
 * and that cannot be sticky, so fusermount3 lets them. The mount table is asked whenever the kernel
 * is given the name: it looks it up once a second (fs/tree/attributes.c), unless a listing of the
 * root directory has brought it.
 */
#include "core/base/log.h"
#include "core/base/mountinfo.h"
#include "core/base/procfs.h"
#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#define NAME       "/partitions"
#define MOUNTS_MAX 64 /* of this tree, bound to other places */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

/* Find a mount over `partitions` by another user; what root puts there is meant. A mount
 * comes after the one that it is on. */
static bool find(uint32_t admin_uid, unsigned long *ret_user)
{
    int ours[MOUNTS_MAX];
    size_t count = 0;
    bool found = false;
    struct mountinfo_reader reader;
    struct mountinfo mount;
    if (mountinfo_open(&reader, -1))
        return false;
    while (!found && mountinfo_next(&reader, &mount)) {
        unsigned long user;
        if (!mountinfo_number(&mount, "user_id", &user))
            continue;
        if (user == admin_uid && !strcmp(mount.type, "fuse.chronosfs")) {
            if (count < MOUNTS_MAX)
                ours[count++] = mount.id;
        } else if (user && user != admin_uid && ends_with(mount.point, NAME)) {
            for (size_t i = 0; i < count; i++)
                found |= ours[i] == mount.parent;
            *ret_user = user;
        }
    }
    mountinfo_close(&reader);
    return found;
}

void covered_open(struct server *server)
{
    char path[PROCFS_PATH_MAX];
    procfs_path("self/mountinfo", path);
    server->mounts_fd = open(path, O_RDONLY | O_CLOEXEC);
    server->mounts_changed = true;
}

void covered_look(struct server *server, const struct node *named)
{
    struct shared *shared = server->tree.shared;
    struct pollfd mounts = {.fd = server->mounts_fd, .events = POLLPRI};
    unsigned long user;
    if (shared->covered || named->dir != DIR_PARTITIONS || named->link)
        return;
    server->mounts_changed |= poll(&mounts, 1, 0) > 0;
    if (!server->mounts_changed)
        return;
    server->mounts_changed = false;
    shared->covered = find(shared->admin_uid, &user);
    if (shared->covered)
        log_say("User %lu has mounted a filesystem over partitions. From now on each user has a "
                "node of that directory, which such a mount does not outlast.",
                user);
}
