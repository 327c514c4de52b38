/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Find the leaves that exist, in a child: a user can hold a directory so that listing it or looking
 * something up in it waits for ever (see cgroup_change.c). The child says where it is. If it stays
 * there, the next one leaves that place out, and asks the processes of the machine for their
 * cgroups as well, which needs no directory.
 */
#include "cgroup.h"

#include "core/base/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
    int pipe;
};

/* -- the child --------------------------------------------------------------------------- */

/* Write a record: '?' a place that is entered, '=' a leaf. */
static void say(const struct search *search, char kind, uint64_t id, const char *path)
{
    char text[PATH_MAX + 32];
    int length = snprintf(text, sizeof(text), "%c%llu %s", kind, (unsigned long long)id, path);
    if (length >= (int)sizeof(text) || write(search->pipe, text, (size_t)length + 1) < 0)
        _exit(EPIPE);
}

static int visit(const struct cgroup *cgroup, const char *path, void *context)
{
    const struct search *search = context;
    size_t at;
    for (size_t i = 0; i < search->held_count; i++) {
        if (strcmp(search->held[i], path) == 0)
            return 0;
    }
    say(search, '?', 0, path);
    uint64_t id = cgroup_dir_ours(cgroup, path, &at);
    if (id != 0 && id != CGROUP_TEST_ID)
        say(search, '=', id, path);
    return !id && (path[0] == '\0' || cgroup_dir_is_roots(cgroup, path));
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
            !strstr(path, search->cgroup->prefix))
            continue;
        say(search, '?', 0, path);
        uint64_t id = cgroup_dir_ours(search->cgroup, path, &at);
        if (id == 0)
            continue;
        size_t begin = at == 0 ? 0 : at + 1;
        path[begin + strcspn(path + begin, "/")] = '\0';
        say(search, '=', id, path);
    }
}

static int look(void *context, int pipe)
{
    struct search *search = context;
    search->pipe = pipe;
    int r = cgroup_walk(search->cgroup, "", visit, search);
    if (search->held_count > 0)
        ask_processes(search);
    return r;
}

/* -- the parent -------------------------------------------------------------------------- */

static int take_record(struct search *search, const char *text, char place[static PATH_MAX])
{
    char *path;
    uint64_t id = strtoull(text + 1, &path, 10);
    if (text[0] == '=')
        return cgroup_dir_leaf_add(search->cgroup, id, path + 1, NULL);
    snprintf(place, PATH_MAX, "%s", path + 1);
    return 0;
}

/* Read the records until the end: 0; or until the child stays in one place: -EINPROGRESS. */
static int read_records(struct search *search, const struct child *child,
                        char place[static PATH_MAX])
{
    static char text[2 * PATH_MAX];
    size_t length = 0;
    int r = 0;
    while (!r) {
        ssize_t got = child_read(child, text + length, sizeof(text) - length, STAY_MS);
        if (got <= 0)
            return (int)got;
        length += (size_t)got;
        char *at = text, *end;
        while (!r && (end = memchr(at, '\0', length - (size_t)(at - text)))) {
            r = take_record(search, at, place);
            at = end + 1;
        }
        length -= (size_t)(at - text);
        memmove(text, at, length);
    }
    return r;
}

static int search_once(struct search *search, char place[static PATH_MAX])
{
    const int keep[] = {search->cgroup->root_fd, search->cgroup->proc_fd};
    struct child child;
    int r = child_start(look, search, keep, 2, &child);
    if (r)
        return r;
    r = read_records(search, &child, place);
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
