/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to `procs`, while the host thread does what they ask. Moving a process can take
 * the kernel long, so each user has a few of them with the host thread at a time and the
 * others wait here: whoever asks for thousands waits alone. Every one is answered: in
 * time, or when patience ends, because nobody can kill a program that waits for us.
 */
#include "core/base/log.h"
#include "fs/tree/status.h"
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define JOINS_AT_ONCE 4
#define PATIENCE_NS   (10 * NS_PER_SECOND)
#define STOP_MS       1000 /* so long a worker that stops waits for them all */

struct join_wait {
    struct join_wait *next;
    uint64_t number; /* a tag for the host thread: the wait may be over before it answers */
    bool given;      /* the host thread has it */
    int64_t asked_ns;
    fuse_req_t req;
    size_t written;
    struct host_join join;
};

/* Answers the wait at *at and takes it off the list. */
static void finish(struct server *server, struct join_wait **at, int result, const char *message)
{
    struct join_wait *wait = *at;
    *at = wait->next;
    status_set(server->tree.shared, wait->join.uid, message);
    if (result)
        fuse_reply_err(wait->req, ops_errno(result));
    else
        fuse_reply_write(wait->req, wait->written);
    free(wait);
}

static void give_up(struct server *server, struct join_wait **at)
{
    const struct host_join *join = &(*at)->join;
    char message[ENGINE_MESSAGE_MAX];
    snprintf(message, sizeof(message),
             "Process %d could not join p%llu in time: the machine is held up. It may still do "
             "so: look at procs, and write it again",
             (int)join->pid, (unsigned long long)join->id);
    finish(server, at, -ETIMEDOUT, message);
}

/* Hands the host thread what it may have of a user, oldest first. */
static void give(struct server *server, uint32_t uid)
{
    unsigned given = 0;
    for (struct join_wait **at = &server->joins; *at && given < JOINS_AT_ONCE;) {
        struct join_wait *wait = *at;
        int r = 0;
        if (wait->join.uid != uid) {
            at = &wait->next;
            continue;
        }
        if (!wait->given && !engine_find(server->tree.engine, wait->join.id))
            r = -ENODEV;
        else if (!wait->given)
            r = host_join(server->host, &wait->join);
        if (r) {
            finish(server, at, r,
                   r == -ENODEV ? "Its time is over: it is gone" : "There is not enough memory");
            continue;
        }
        wait->given = true;
        given++;
        at = &wait->next;
    }
}

int pending_join_start(struct server *server, fuse_req_t req, const struct write *write,
                       size_t size)
{
    struct join_wait *wait = malloc(sizeof(*wait)), **last = &server->joins;
    if (!wait)
        return -ENOMEM;
    *wait = (struct join_wait){.number = ++server->join_number,
                               .asked_ns = server->tree.now_ns,
                               .req = req,
                               .written = size,
                               .join = {.id = write->node->object,
                                        .pid = write->join_pid,
                                        .writer_pid = write->caller.pid,
                                        .uid = write->caller.uid,
                                        .admin = write->caller.admin}};
    wait->join.tag = wait->number;
    /* Whatever comes of its grant, this number is nobody else's. */
    struct shared *shared = server->tree.shared;
    if (wait->join.id >= shared->next_id)
        shared->next_id = wait->join.id + 1;
    while (*last)
        last = &(*last)->next;
    *last = wait;
    give(server, wait->join.uid);
    deferred_arm(server);
    return 0;
}

void pending_join_finish(struct server *server, const struct host_result *result)
{
    server->tree.joined_ns = server->tree.now_ns;
    for (struct join_wait **at = &server->joins; *at; at = &(*at)->next)
        if ((*at)->number == result->tag) {
            uint32_t uid = (*at)->join.uid;
            finish(server, at, result->result, result->message);
            give(server, uid);
            break;
        }
    deferred_arm(server);
}

int64_t pending_join_due_ns(const struct server *server)
{
    return server->joins ? server->joins->asked_ns + PATIENCE_NS : INT64_MAX;
}

void pending_join_late(struct server *server)
{
    while (server->joins && pending_join_due_ns(server) <= server->tree.now_ns)
        give_up(server, &server->joins);
}

void pending_join_finish_all(struct server *server)
{
    int64_t until_ns = server->tree.now_ns + STOP_MS * INT64_C(1000000);
    while (server->joins && server->tree.now_ns < until_ns) {
        struct pollfd fd = {.fd = host_fd(server->host), .events = POLLIN};
        poll(&fd, 1, (int)((until_ns - server->tree.now_ns) / 1000000) + 1);
        results_handle(server);
    }
    while (server->joins)
        give_up(server, &server->joins);
}
