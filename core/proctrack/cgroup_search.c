/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find the leaves that exist, in a child: a user can hold a directory so that listing it or looking
 * something up in it waits for ever (see cgroup_change.c). The child says where it is. If it stays
 * there, the next one leaves that place out, and asks the processes of the machine for their
 * cgroups as well, which needs no directory.
 */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a child may stay in one place, and how many places are left out. */
#define STAY_MS  500
#define HELD_MAX 16

struct search {
    struct cgroup *cgroup;
    char held[HELD_MAX][PATH_MAX];
    size_t held_count;
    int socket; /* the child's */
};

/* -- the child --------------------------------------------------------------------------- */

/* A place that is entered, with id 0, or a leaf, with its descriptor. */
static void say(const struct search *search, uint64_t id, const char *path)
{
    static struct cgroup_packet packet;
    int fd = id ? cgroup_place_open_ours(search->cgroup, path) : -1;
    if (id && fd < 0)
        return; /* removed, or replaced */
    memset(packet.fds, -1, sizeof(packet.fds));
    packet.fds[0] = fd;
    packet.head[0] = (int64_t)id;
    snprintf(packet.path, sizeof(packet.path), "%s", path);
    if (cgroup_packet_send(search->socket, &packet) != 0)
        _exit(EPIPE);
    cgroup_packet_close(&packet);
}

/* An earlier child stayed there. */
static bool is_held(const struct search *search, const char *path)
{
    for (size_t i = 0; i < search->held_count; i++) {
        if (strcmp(search->held[i], path) == 0)
            return true;
    }
    return false;
}

static int visit(const struct cgroup *cgroup, const char *path, void *context)
{
    const struct search *search = context;
    size_t at;
    if (is_held(search, path))
        return 0;
    say(search, 0, path);
    uint64_t id = cgroup_place_ours(cgroup, path, &at);
    if (id != 0 && id != CGROUP_TEST_ID)
        say(search, id, path);
    return !id && (path[0] == '\0' || cgroup_place_is_roots(cgroup, path));
}

/* Find leaves that are in use through the processes in them. */
static void ask_processes(const struct search *search)
{
    char path[PATH_MAX];
    size_t at;
    DIR *directory = fdopendir(openat(search->cgroup->proc_fd, ".", O_RDONLY | O_DIRECTORY));
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || cgroup_dir_of(search->cgroup, pid, path) != 0 ||
            !strstr(path, search->cgroup->prefix) || is_held(search, path))
            continue;
        say(search, 0, path);
        uint64_t id = cgroup_place_ours(search->cgroup, path, &at);
        if (id == 0)
            continue;
        size_t begin = at == 0 ? 0 : at + 1;
        path[begin + strcspn(path + begin, "/")] = '\0';
        say(search, id, path);
    }
}

static int look(void *context, int socket)
{
    struct search *search = context;
    search->socket = socket;
    int r = cgroup_walk(search->cgroup, "", visit, context);
    if (search->held_count > 0)
        ask_processes(search);
    return r;
}

/* -- the parent -------------------------------------------------------------------------- */

/* Read what it says until the end: 0, or the last error of a leaf that cannot be kept; or until it
 * stays in one place: -EINPROGRESS. */
static int listen_to(struct search *search, int socket, char place[static PATH_MAX])
{
    static struct cgroup_packet packet;
    int r = 0, failed = 0;
    while (!r) {
        if (poll(&(struct pollfd){.fd = socket, .events = POLLIN}, 1, STAY_MS) == 0)
            return -EINPROGRESS;
        r = cgroup_packet_receive(socket, &packet);
        if (r == -EINTR || r == -EAGAIN) {
            r = 0;
        } else if (!r && packet.head[0] == 0) {
            strcpy(place, packet.path);
        } else if (!r) {
            int kept =
                cgroup_leaf_keep(search->cgroup, CGROUP_NO_ACCOUNT, packet.fds[0], packet.path);
            failed = kept ? kept : failed;
        }
    }
    return r == -EPIPE ? failed : r;
}

static int search_once(struct search *search, char place[static PATH_MAX])
{
    const int keep[] = {search->cgroup->root_fd, search->cgroup->proc_fd};
    struct child child;
    int r = child_start(look, search, keep, 2, &child);
    if (r)
        return r;
    r = listen_to(search, child.socket, place);
    if (!r)
        r = child_wait(&child, -1);
    child_kill(&child);
    return r;
}

int cgroup_search(struct cgroup *cgroup)
{
    struct search *search = calloc(1, sizeof(*search));
    char place[PATH_MAX] = "";
    int r;
    if (!search)
        return -ENOMEM;
    search->cgroup = cgroup;
    while ((r = search_once(search, place)) == -EINPROGRESS && search->held_count < HELD_MAX)
        strcpy(search->held[search->held_count++], place);
    if (r == -EINPROGRESS || (!r && search->held_count > 0))
        r = -EBUSY;
    free(search);
    return r;
}
