/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for the host thread. Only the host thread knows the current members and usage:
 * a reader of `procs` or `memory_used` waits for a snapshot, usually well under a millisecond. If
 * the host thread takes too long, the last sample of usage is shown, as it is a sample anyway, but
 * no list of members: an old one, or an empty one, would say that a program is gone. Only the host
 * thread adds members: a write to `procs` waits for that. The kernel can be slow to move a process,
 * so each user has only a few joins in progress: a client that queues thousands of joins delays
 * only itself.
 *
 * Every request is answered, at its timeout at the latest, because a program that waits for us
 * cannot be killed. No kernel lock is held while a request waits.
 */
#include "core/base/log.h"
#include "fs/tree/members.h"
#include "fs/tree/names.h"
#include "fs/tree/status.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The age up to which a snapshot is reused: the requests of one `cat` share it. */
#define FRESH_NS  NS_PER_MS
#define SAMPLE_NS (100 * NS_PER_MS) /* drivers are slower to ask */

#define JOINS_AT_ONCE 4

static const int64_t patience_ns[PENDING_KINDS] = {
    [PENDING_USAGE] = 200 * NS_PER_MS,
    [PENDING_MEMBERS] = 2 * NS_PER_SECOND,
    [PENDING_JOIN] = 10 * NS_PER_SECOND,
};

struct pending {
    struct pending *next;
    int64_t asked_ns;
    struct query query;
    /* for readers */
    void (*answer)(const struct query *query);
    uint64_t subject; /* the partition whose members are wanted, or HOST_USAGE */
    struct fuse_file_info fi;
    /* for PENDING_JOIN */
    struct host_join join;
    uint32_t account;        /* of the writer */
    bool started;            /* handed to the host thread */
    pending_asked_fn *asked; /* it only asks; with this data */
    char *data;              /* or a copy of join.cgroup */
};

/* -- the queues --------------------------------------------------------------------- */

static struct pending *add(struct server *server, enum pending_kind kind)
{
    struct pending_queue *queue = &server->pending[kind];
    struct pending *pending = calloc(1, sizeof(*pending));
    if (!pending)
        return NULL;
    pending->asked_ns = server->tree.now_ns;
    if (!queue->first) {
        queue->last = &queue->first;
        submit_arm(server, pending->asked_ns + patience_ns[kind]);
    }
    *queue->last = pending;
    queue->last = &pending->next;
    return pending;
}

/* Remove the request at *at from its queue; the caller frees it. */
static struct pending *take(struct pending_queue *queue, struct pending **at)
{
    struct pending *pending = *at;
    *at = pending->next;
    if (!*at)
        queue->last = at;
    return pending;
}

/* -- snapshots ---------------------------------------------------------------------- */

static bool is_fresh(const struct server *server, enum live live, uint64_t id)
{
    const struct tree *tree = &server->tree;
    if (live == LIVE_MEMBERS) {
        int64_t since_ns = tree->now_ns - FRESH_NS;
        return members_find(tree->members, id,
                            server->joined_ns > since_ns ? server->joined_ns : since_ns);
    }
    if (!tree->host_state->processes[0]) /* the host thread has not reported yet */
        return false;
    return !tree->host_state->metered || server->sampled_ns >= tree->now_ns - SAMPLE_NS;
}

bool pending_read(struct query *query, void (*answer)(const struct query *query))
{
    struct server *server = query->server;
    const struct file_row *row = query->row;
    const struct node *node = &query->node;
    if (!row || row->live == LIVE_NOT || !tree_alive(&server->tree, node) ||
        is_fresh(server, row->live, node->object))
        return false;
    const bool usage = row->live == LIVE_USAGE;
    const uint64_t subject = usage ? HOST_USAGE : node->object;
    query->late = true; /* unless it is answered */
    if (host_read(server->host, subject, server->tree.now_ns))
        return false;
    struct pending *pending = add(server, usage ? PENDING_USAGE : PENDING_MEMBERS);
    if (!pending)
        return false;
    pending->query = *query;
    pending->answer = answer;
    pending->subject = subject;
    if (query->fi) {
        pending->fi = *query->fi;
        pending->query.fi = &pending->fi;
    }
    return true;
}

static void answer(struct pending *pending)
{
    pending->answer(&pending->query);
    free(pending);
}

void pending_answer(struct server *server, uint64_t id, int64_t at_ns)
{
    struct pending_queue *queue =
        &server->pending[id == HOST_USAGE ? PENDING_USAGE : PENDING_MEMBERS];
    for (struct pending **at = &queue->first; *at && (*at)->asked_ns <= at_ns;) {
        if ((*at)->subject == id) {
            (*at)->query.late = false;
            answer(take(queue, at));
        } else
            at = &(*at)->next;
    }
}

/* -- joins -------------------------------------------------------------------------- */

/* Answer the join at *at and remove it from its queue. Return it; the caller frees it. */
static struct pending *finish(struct server *server, struct pending **at, int result,
                              const char *message)
{
    struct pending *pending = take(&server->pending[PENDING_JOIN], at);
    fuse_req_t req = pending->query.req;
    const struct status_writer writer = {.uid = pending->join.uid, .tid = pending->join.writer_pid};
    if (!result && pending->asked) {
        pending->query.belongs = true;
        pending->asked(&pending->query, pending->data);
    } else if (result) {
        if (result == -EPERM && pending->asked && !pending->data)
            result = -EACCES; /* what an open says */
        reply_refusal(server, req, &writer, result, message);
    } else {
        status_set(&server->tree, &writer, message);
        fuse_reply_write(req, pending->query.size);
        used_note(server, pending->join.id);
    }
    free(pending->data);
    return pending;
}

/* Hand an account's joins to the host thread, oldest first, up to JOINS_AT_ONCE. */
static void start_joins(struct server *server, uint32_t account)
{
    unsigned started = 0;
    for (struct pending **at = &server->pending[PENDING_JOIN].first;
         *at && started < JOINS_AT_ONCE;) {
        struct pending *pending = *at;
        int r = 0;
        if (pending->account != account) {
            at = &pending->next;
            continue;
        }
        if (!pending->started && pending->join.id &&
            !engine_find(server->tree.engine, pending->join.id))
            r = -ENODEV;
        else if (!pending->started)
            r = host_join(server->host, &pending->join);
        if (r) {
            free(finish(server, at, r,
                        r == -ENODEV ? "The partition has ended." : "There is not enough memory."));
            continue;
        }
        pending->started = true;
        started++;
        at = &pending->next;
    }
}

/* Free a list of finished joins. The next of their accounts take their places at the host thread:
 * not before all of the list are finished, or some of these would. */
static void pass_on(struct server *server, struct pending *finished)
{
    for (struct pending *next; finished; finished = next) {
        next = finished->next;
        if (finished->started)
            start_joins(server, finished->account);
        free(finished);
    }
}

int pending_join(struct server *server, fuse_req_t req, const struct write *write, size_t size)
{
    char *path = write->join_cgroup ? strdup(write->join_cgroup) : NULL;
    struct pending *pending = write->join_cgroup && !path ? NULL : add(server, PENDING_JOIN);
    if (!pending) {
        free(path);
        return -ENOMEM;
    }
    pending->data = path;
    pending->query = (struct query){.server = server, .req = req, .size = size};
    pending->account = names_account(server->tree.names, write->caller.uid);
    pending->join = (struct host_join){
        .tag = ++server->join_number,
        .id = tree_partition(&server->tree, write->node) ? write->node->object : 0,
        .pid = write->join_pid,
        .cgroup = pending->data,
        .writer_pid = write->caller.pid,
        .uid = write->caller.uid,
        .account = pending->account,
        .until_ns = pending->asked_ns + patience_ns[PENDING_JOIN],
        .root = write->caller.root};
    /* A process can now be in this partition's group: never reuse the id, even if the grant cannot
     * be made durable. */
    struct shared *shared = server->tree.shared;
    if (pending->join.id >= shared->next_id)
        shared->next_id = pending->join.id + 1;
    start_joins(server, pending->account);
    return 0;
}

int pending_ask(const struct query *query, const char *data, pending_asked_fn *asked)
{
    struct server *server = query->server;
    const struct fuse_ctx *ctx = fuse_req_ctx(query->req);
    char *copy = data ? malloc(query->size + 1) : NULL;
    struct pending *pending = data && !copy ? NULL : add(server, PENDING_JOIN);
    if (!pending) {
        free(copy);
        return -ENOMEM;
    }
    if (copy)
        memcpy(copy, data, query->size);
    pending->query = *query;
    pending->data = copy;
    pending->asked = asked;
    pending->fi = *query->fi;
    pending->query.fi = &pending->fi;
    pending->account = names_account(server->tree.names, ctx->uid);
    pending->join = (struct host_join){.tag = ++server->join_number,
                                       .id = query->node.object,
                                       .asks = true,
                                       .writer_pid = ctx->pid,
                                       .uid = ctx->uid,
                                       .account = pending->account,
                                       .until_ns = pending->asked_ns + patience_ns[PENDING_JOIN]};
    start_joins(server, pending->account);
    return 0;
}

void pending_joined(struct server *server, const struct host_result *result)
{
    for (struct pending **at = &server->pending[PENDING_JOIN].first; *at; at = &(*at)->next)
        if ((*at)->join.tag == result->joined.tag) {
            if (!(*at)->asked)
                server->joined_ns = server->tree.now_ns;
            struct pending *joined = finish(server, at, result->joined.result, result->message);
            joined->next = NULL;
            pass_on(server, joined);
            break;
        }
}

/* -- timeouts ----------------------------------------------------------------------- */

/* Refuse the oldest join, because it is late. Return it; the caller frees it. */
static struct pending *refuse_first(struct server *server)
{
    struct pending_queue *queue = &server->pending[PENDING_JOIN];
    const struct host_join *join = &queue->first->join;
    char message[ENGINE_MESSAGE_MAX];
    if (join->asks)
        snprintf(message, sizeof(message),
                 "It is not known yet whether you belong to p%llu: the machine is overloaded. Try "
                 "again.",
                 (unsigned long long)join->id);
    else if (join->cgroup)
        snprintf(message, sizeof(message),
                 "The machine is overloaded. Look into cgroups whether p%llu has it; if not, write "
                 "it again.",
                 (unsigned long long)join->id);
    else if (join->id)
        snprintf(message, sizeof(message),
                 "Process %d has not joined p%llu in time: the machine is overloaded. %s it again.",
                 (int)join->pid, (unsigned long long)join->id,
                 queue->first->started ? "It may still join; check procs, then write" : "Write");
    else
        snprintf(message, sizeof(message),
                 "Process %d has not left in time: the machine is overloaded. Write it again.",
                 (int)join->pid);
    return finish(server, &queue->first, join->asks ? -EAGAIN : -ETIMEDOUT, message);
}

/* Time out the requests of a kind that were asked up to at_ns, oldest first: answer readers with
 * what is known, refuse joins. */
static void give_up(struct server *server, enum pending_kind kind, int64_t at_ns)
{
    struct pending_queue *queue = &server->pending[kind];
    struct pending *late = NULL;
    while (queue->first && queue->first->asked_ns <= at_ns) {
        if (kind != PENDING_JOIN) {
            answer(take(queue, &queue->first));
            continue;
        }
        struct pending *join = refuse_first(server);
        join->next = late;
        late = join;
    }
    pass_on(server, late);
}

void pending_expire(struct server *server)
{
    for (int kind = 0; kind < PENDING_KINDS; kind++) {
        const struct pending_queue *queue = &server->pending[kind];
        give_up(server, (enum pending_kind)kind, server->tree.now_ns - patience_ns[kind]);
        if (queue->first)
            submit_arm(server, queue->first->asked_ns + patience_ns[kind]);
    }
}

void pending_failed(struct server *server, uint64_t first_id)
{
    struct pending *lost = NULL;
    for (struct pending **at = &server->pending[PENDING_JOIN].first; *at;) {
        if ((*at)->join.id < first_id || engine_find(server->tree.engine, (*at)->join.id)) {
            at = &(*at)->next;
            continue;
        }
        struct pending *join =
            finish(server, at, -ENODEV, "The partition could not be made durable.");
        join->next = lost;
        lost = join;
    }
    pass_on(server, lost);
}

void pending_give_up(struct server *server, enum pending_kind kind)
{
    give_up(server, kind, INT64_MAX);
}
