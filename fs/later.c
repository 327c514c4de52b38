/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that ask what programs do now (`procs` and its like). Only the keeper
 * knows, so they wait for its look, which takes well under a millisecond. Nobody
 * waits longer than a moment: when the keeper is held up, what was last seen is
 * shown. No lock of the kernel is held meanwhile: these are opens, stats and reads.
 */
#include "server.h"

#include "log.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* A look so young is good enough: the requests that make up one `cat` share it. */
#define FRESH_NS  INT64_C(1000000)
#define SAMPLE_NS (100 * INT64_C(1000000)) /* drivers take longer to ask */
#define WAIT_NS   (200 * INT64_C(1000000))

struct later {
    struct later *next;
    enum later_kind kind;
    fuse_req_t req;
    fuse_ino_t ino;
    size_t size;
    struct fuse_file_info fi;
    uint64_t what; /* the partition whose members are looked at, or KEEPER_USAGE */
    int64_t asked_ns;
};

static bool is_fresh(const struct tree *tree, const struct file_row *row, uint64_t id)
{
    if (row->live == LIVE_MEMBERS) {
        int64_t since_ns = tree->now_ns - FRESH_NS;
        return looks_find(&tree->looks, id,
                          tree->joined_ns > since_ns ? tree->joined_ns : since_ns) != NULL;
    }
    if (!tree->keeps.processes[0]) /* nothing was told since the start */
        return false;
    return !tree->keeps.metered || tree->sampled_ns >= tree->now_ns - SAMPLE_NS;
}

void server_arm_later(struct server *server)
{
    struct itimerspec spec = {0};
    int64_t at_ns = server_joins_due_ns(server);
    if (server->later && server->later->asked_ns + WAIT_NS < at_ns)
        at_ns = server->later->asked_ns + WAIT_NS;
    if (at_ns != INT64_MAX) {
        spec.it_value.tv_sec = (time_t)(at_ns / NS_PER_SECOND);
        spec.it_value.tv_nsec = (long)(at_ns % NS_PER_SECOND);
    }
    timerfd_settime(server->later_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

bool server_later(struct server *server, enum later_kind kind, fuse_req_t req,
                  const struct node *node, fuse_ino_t ino, size_t size,
                  const struct fuse_file_info *fi)
{
    const struct file_row *row;
    struct tree *tree = &server->tree;
    if (node->dir != DIR_PARTITION || !node->file || server->answering_later)
        return false;
    row = tree_row(node);
    if (!row || row->live == LIVE_NOT || !tree_alive(tree, node) ||
        is_fresh(tree, row, node->object))
        return false;
    uint64_t what = row->live == LIVE_USAGE ? KEEPER_USAGE : node->object;
    struct later *later = calloc(1, sizeof(*later));
    if (!later || keeper_look(server->keeper, what, tree->now_ns)) {
        free(later);
        return false;
    }
    *later = (struct later){
        .kind = kind, .req = req, .ino = ino, .size = size, .what = what, .asked_ns = tree->now_ns};
    if (fi)
        later->fi = *fi;
    bool first = !server->later;
    if (first)
        server->last_later = &server->later;
    *server->last_later = later;
    server->last_later = &later->next;
    if (first)
        server_arm_later(server);
    return true;
}

static void answer(struct server *server, struct later *later)
{
    server->answering_later = true;
    if (later->kind == LATER_OPEN)
        ops_open(later->req, later->ino, &later->fi);
    else if (later->kind == LATER_GETATTR)
        ops_getattr(later->req, later->ino, NULL);
    else
        ops_read(later->req, later->ino, later->size, 0, &later->fi);
    server->answering_later = false;
    free(later);
}

/* Answers those that wait for `what` since at_ns or earlier; 0: for anything. */
static void answer_those(struct server *server, uint64_t what, int64_t at_ns)
{
    struct later **at = &server->later;
    while (*at) {
        struct later *later = *at;
        if ((what && later->what != what) || later->asked_ns > at_ns) {
            at = &later->next;
            continue;
        }
        *at = later->next; /* nobody comes to wait while others are answered */
        answer(server, later);
    }
    server->last_later = at;
    server_arm_later(server);
}

void server_looked(struct server *server, uint64_t what, int64_t at_ns)
{
    answer_those(server, what, at_ns);
}

void server_handle_late(struct server *server)
{
    uint64_t count;
    if (read(server->later_fd, &count, sizeof(count)) < 0)
        return;
    server_tick(server);
    server_joins_late(server);
    answer_those(server, 0, server->tree.now_ns - WAIT_NS);
}

void server_answer_all_later(struct server *server)
{
    answer_those(server, 0, INT64_MAX);
}
