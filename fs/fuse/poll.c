/* SPDX-License-Identifier: Apache-2.0 */
/* Who polls a file, and who is told that it has news; see server.h. */
#include "server.h"

#include <errno.h>
#include <poll.h>

/* What a poll finds: always something to read; news as in cgroup v2. */
static unsigned poll_events(struct tree *tree, const struct node *node, const struct file_row *row,
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

void poll_request(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                  struct fuse_pollhandle *ph)
{
    struct node node;
    struct server *server = ops_enter(req, ino, &node);
    if (ph)
        fuse_pollhandle_destroy(ph); /* the slot keeps the kernel's own number */
    if (!server)
        return;
    struct tree *tree = &server->tree;
    struct shared_handle *handle = handles_get(&tree->handles, fi->fh);
    if (!handle) {
        fuse_reply_err(req, EBADF);
        return;
    }
    if (ph)
        handles_poll(&tree->handles, fi->fh, session_current(server->session)->poll_kh);
    fuse_reply_poll(req, poll_events(tree, &node, tree_row(&node), handle));
}

/* Wakes a poller with news. Whoever still waits afterwards asks again. */
static bool wake_if_news(void *context, struct shared_handle *slot)
{
    struct server *server = context;
    struct node node;
    if (!tree_node_from_id(slot->node - 1, &node) ||
        !(poll_events(&server->tree, &node, tree_row(&node), slot) & POLLPRI))
        return false;
    session_notify_poll(server->session, slot->poll - 1);
    return true;
}

static void wake_file(struct server *server, enum dir_kind dir, uint64_t object, const char *file)
{
    struct node node = {.dir = dir, .object = object, .file = tree_node_hash(file)};
    handles_wake(&server->tree.handles, tree_node_id(&node), wake_if_news, server);
}

void poll_wake(struct server *server, const struct engine_event *events)
{
    bool ends = false;
    wake_file(server, DIR_ROOT, 0, "events");
    for (; events; events = events->next) {
        if (events->kind == EVENT_SETTING || !events->after.id)
            continue;
        wake_file(server, DIR_PARTITION, events->after.id, "events");
        wake_file(server, DIR_PARTITION, events->after.id, "state");
        ends |= event_kind_is_end(events->kind);
    }
    if (ends)
        wake_file(server, DIR_ROOT, 0, "history");
}

static bool wake(void *context, struct shared_handle *slot)
{
    struct server *server = context;
    session_notify_poll(server->session, slot->poll - 1);
    return true;
}

void poll_wake_all(struct server *server)
{
    handles_wake_all(&server->tree.handles, wake, server);
}
