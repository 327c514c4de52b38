/* SPDX-License-Identifier: Apache-2.0 */
/* Wake pollers of open files; see server.h. */
#include "fs/tree/waits.h"
#include "server.h"

#include <errno.h>
#include <poll.h>

/* The most pollers that are woken between requests: 2 us each, and one user can have any number. */
#define PORTION 64u

/* A file is always readable; POLLPRI reports a change, as in cgroup v2. */
unsigned poll_find(struct tree *tree, const struct node *node, const struct file_row *row,
                   const struct shared_handle *handle)
{
    uint64_t change = 0;
    if (!row || !tree_alive(tree, node) || (row->watch && !row->watch(tree, node, &change)))
        return POLLIN | POLLRDNORM | POLLPRI | POLLERR | POLLHUP;
    if (!row->watch)
        return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
    if (change != handle->seen)
        return POLLIN | POLLRDNORM | POLLPRI;
    return 0;
}

/* Wake a poller if the file has changed since it was last read. */
static bool wake_if_new(void *context, struct shared_handle *slot)
{
    struct server *server = context;
    struct node node;
    if (!tree_node_from_id(slot->node - 1, &node) ||
        !(poll_find(&server->tree, &node, tree_row(&server->tree, &node), slot) & POLLPRI))
        return false;
    if (session_notify_poll(server->session, slot->poll - 1) != -ENOMEM)
        return true;
    handles_wake(&server->handles, slot->node - 1); /* try again */
    return false;
}

/* Note the pollers of the files in a directory whose rows have `watch`. */
static void wake_files(struct server *server, enum dir_kind dir, uint64_t object)
{
    for (const struct file_row *row = server->tree.table[dir].rows; row->name; row++) {
        struct node node = {.dir = dir, .object = object};
        if (!row->watch)
            continue;
        node.file = tree_node_hash(row->name);
        handles_wake(&server->handles, tree_node_id(&node));
    }
}

void poll_wake_queues(struct server *server)
{
    struct tree *tree = &server->tree;
    uint32_t moved;
    if (!waits_is_news(tree))
        return;
    for (uint32_t device = 0;
         (device = waits_next_device(tree, device, &moved)) != ENGINE_DEVICE_ANY; device++)
        wake_files(server, DIR_DEVICE, device);
    waits_show(tree);
}

void poll_wake(struct server *server, const struct engine_event *events)
{
    wake_files(server, DIR_ROOT, 0);
    for (; events; events = events->next)
        if (events->kind != EVENT_SETTING && events->after.id)
            wake_files(server, DIR_PARTITION, events->after.id);
}

void poll_wake_all(struct server *server)
{
    handles_wake_all(&server->handles);
}

void poll_wake_some(struct server *server)
{
    handles_wake_some(&server->handles, PORTION, wake_if_new, server);
}
