/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that ask what programs do now (`procs` and its like). Only the host thread
 * knows, so they wait for its look, which takes well under a millisecond. Nobody
 * waits longer than a moment: when the host thread is held up, what was last seen is
 * shown. No lock of the kernel is held meanwhile: these are opens, stats and reads.
 */
#include "server.h"

#include "core/base/log.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* A look so young is good enough: the requests that make up one `cat` share it. */
#define FRESH_NS  INT64_C(1000000)
#define SAMPLE_NS (100 * INT64_C(1000000)) /* drivers take longer to ask */
#define WAIT_NS   (200 * INT64_C(1000000))

struct deferred {
    struct deferred *next;
    enum deferred_kind kind;
    fuse_req_t req;
    fuse_ino_t ino;
    size_t size;
    struct fuse_file_info fi;
    uint64_t what; /* the partition whose members are looked at, or HOST_USAGE */
    int64_t asked_ns;
};

static bool is_fresh(const struct tree *tree, const struct file_row *row, uint64_t id)
{
    if (row->live == LIVE_MEMBERS) {
        int64_t since_ns = tree->now_ns - FRESH_NS;
        return members_find(&tree->members, id,
                            tree->joined_ns > since_ns ? tree->joined_ns : since_ns) != NULL;
    }
    if (!tree->keeps.processes[0]) /* nothing was told since the start */
        return false;
    return !tree->keeps.metered || tree->sampled_ns >= tree->now_ns - SAMPLE_NS;
}

void deferred_arm(struct server *server)
{
    struct itimerspec spec = {0};
    int64_t at_ns = pending_join_due_ns(server);
    if (server->deferred && server->deferred->asked_ns + WAIT_NS < at_ns)
        at_ns = server->deferred->asked_ns + WAIT_NS;
    if (at_ns != INT64_MAX) {
        spec.it_value.tv_sec = (time_t)(at_ns / NS_PER_SECOND);
        spec.it_value.tv_nsec = (long)(at_ns % NS_PER_SECOND);
    }
    timerfd_settime(server->deferred_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

bool deferred_add(struct server *server, enum deferred_kind kind, fuse_req_t req,
                  const struct node *node, fuse_ino_t ino, size_t size,
                  const struct fuse_file_info *fi)
{
    const struct file_row *row;
    struct tree *tree = &server->tree;
    if (node->dir != DIR_PARTITION || !node->file || server->answering_deferred)
        return false;
    row = tree_row(node);
    if (!row || row->live == LIVE_NOT || !tree_alive(tree, node) ||
        is_fresh(tree, row, node->object))
        return false;
    uint64_t what = row->live == LIVE_USAGE ? HOST_USAGE : node->object;
    struct deferred *deferred = calloc(1, sizeof(*deferred));
    if (!deferred || host_look(server->host, what, tree->now_ns)) {
        free(deferred);
        return false;
    }
    *deferred = (struct deferred){
        .kind = kind, .req = req, .ino = ino, .size = size, .what = what, .asked_ns = tree->now_ns};
    if (fi)
        deferred->fi = *fi;
    bool first = !server->deferred;
    if (first)
        server->last_deferred = &server->deferred;
    *server->last_deferred = deferred;
    server->last_deferred = &deferred->next;
    if (first)
        deferred_arm(server);
    return true;
}

static void answer(struct server *server, struct deferred *deferred)
{
    server->answering_deferred = true;
    if (deferred->kind == LATER_OPEN)
        ops_open(deferred->req, deferred->ino, &deferred->fi);
    else if (deferred->kind == LATER_GETATTR)
        ops_getattr(deferred->req, deferred->ino, NULL);
    else
        ops_read(deferred->req, deferred->ino, deferred->size, 0, &deferred->fi);
    server->answering_deferred = false;
    free(deferred);
}

/* Answers those that wait for `what` since at_ns or earlier; 0: for anything. */
static void answer_those(struct server *server, uint64_t what, int64_t at_ns)
{
    struct deferred **at = &server->deferred;
    while (*at) {
        struct deferred *deferred = *at;
        if ((what && deferred->what != what) || deferred->asked_ns > at_ns) {
            at = &deferred->next;
            continue;
        }
        *at = deferred->next; /* nobody comes to wait while others are answered */
        answer(server, deferred);
    }
    server->last_deferred = at;
    deferred_arm(server);
}

void deferred_looked(struct server *server, uint64_t what, int64_t at_ns)
{
    answer_those(server, what, at_ns);
}

void deferred_handle_late(struct server *server)
{
    uint64_t count;
    if (read(server->deferred_fd, &count, sizeof(count)) < 0)
        return;
    submit_tick(server);
    pending_join_late(server);
    answer_those(server, 0, server->tree.now_ns - WAIT_NS);
}

void deferred_answer_all(struct server *server)
{
    answer_those(server, 0, INT64_MAX);
}
