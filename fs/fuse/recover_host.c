/* SPDX-License-Identifier: Apache-2.0 */
/* Start the host thread with the partitions that were restored. See server.h. */
#include "core/base/array.h"
#include "core/base/hash.h"
#include "fs/tree/charge.h"
#include "fs/tree/names.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A hash of the state directory's path, device and inode: the same path can be another directory
 * in a container. */
static uint64_t mark_of(const char *state_dir)
{
    struct stat st = {.st_dev = 0};
    char text[PATH_MAX + 64];
    stat(state_dir, &st); /* on failure use the path alone */
    snprintf(text, sizeof(text), "%s %llu %llu", state_dir, (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return hash_text(HASH_START, text);
}

static int compare_id(const void *one, const void *other)
{
    const struct host_partition *a = one, *b = other;
    return a->partition.id < b->partition.id ? -1 : a->partition.id > b->partition.id;
}

/* Programs of a partition that was preempted, and waits again, may still have to be ended. When it
 * was is not known: they have their grace from now on. */
static int keep_waiting(struct server *server)
{
    const struct tree *tree = &server->tree;
    const struct partition *p = NULL;
    int64_t start_ns = INT64_MIN;
    uint64_t id = 0;
    while ((p = engine_next_waiting(tree->engine, start_ns, id))) {
        start_ns = p->start_ns;
        id = p->id;
        if (p->suspend_stage != SUSPEND_NONE) /* its programs are to come back */
            continue;
        if (array_reserve(server->ended, server->ended_capacity, server->ended_count + 1))
            return -ENOMEM;
        struct host_partition *ended = &server->ended[server->ended_count++];
        *ended =
            (struct host_partition){.partition = *p, .account = names_account(tree->names, p->uid)};
        ended->partition.end_ns = tree->now_ns;
    }
    return 0;
}

/* List all partitions that have begun for the host thread. */
static int list_live(struct server *server, struct host_start *start)
{
    struct tree *tree = &server->tree;
    const struct partition *p;
    uint64_t *owed;
    size_t owed_count, at = 0;
    start->live = calloc(engine_count(tree->engine) + 1, sizeof(*start->live));
    if (!start->live || charge_owed(tree, &server->handles, &owed, &owed_count))
        return -ENOMEM;
    for (uint64_t after = 0; (p = engine_next(tree->engine, after)); after = p->id) {
        if (p->state == PARTITION_PENDING && p->suspend_stage == SUSPEND_NONE)
            continue; /* it comes with its start */
        const struct guests *guests = engine_guests(tree->engine, p->id);
        struct guests *copy = guests ? malloc(sizeof(*copy)) : NULL;
        if (guests && !copy)
            return -ENOMEM;
        if (copy)
            *copy = *guests;
        while (at < owed_count && owed[at] < p->id)
            at++;
        start->live[start->live_count++] = (struct host_partition){
            *p, names_account(tree->names, p->uid), copy, at < owed_count && owed[at] == p->id};
    }
    free(owed);
    return 0;
}

/* List the modes of devices for the host thread, and find a place for what they need. Out of
 * memory: `modes` is NULL. */
static void list_modes(struct server *server, struct host_start *start)
{
    const struct shared *shared = server->tree.shared;
    int length = shared->admin_uid == 0
                     ? snprintf(server->sharing_root, sizeof(server->sharing_root),
                                "/run/chronos/%s", server->instance)
                     : snprintf(server->sharing_root, sizeof(server->sharing_root), "%s/sharing",
                                shared->state_dir);
    start->sharing_root = length < (int)sizeof(server->sharing_root) ? server->sharing_root : NULL;
    start->modes = calloc(start->device_count + (size_t)1, sizeof(*start->modes));
    for (uint32_t i = 0; start->modes && i < start->device_count; i++)
        start->modes[i] = *engine_sharing(server->tree.engine, i);
}

int recover_host(struct server *server)
{
    struct tree *tree = &server->tree;
    snprintf(server->instance, sizeof(server->instance), "%016llx",
             (unsigned long long)mark_of(tree->shared->state_dir));
    int r = keep_waiting(server);
    if (server->ended_count) /* the host thread looks them up */
        qsort(server->ended, server->ended_count, sizeof(*server->ended), compare_id);
    struct host_start start = {.instance = server->instance,
                               .state_dir = tree->shared->state_dir,
                               .proctrack = tree->shared->proctrack,
                               .devices = tree->devices,
                               .device_count = tree->shared->devices.count,
                               .bookings = tree->bookings,
                               .cuda_limited = tree->shared->cuda_shim[0],
                               .ended = server->ended,
                               .ended_count = server->ended_count,
                               .own_pid_ns = tree->own_pid_ns,
                               .own_user_ns = tree->own_user_ns};
    list_modes(server, &start);
    server->ended = NULL;
    start.policy = server->host_policy = *engine_policy(server->tree.engine);
    if (!r)
        r = list_live(server, &start);
    if (!r && !start.modes)
        r = -ENOMEM;
    return r ? r : host_new(&start, &server->host);
}
