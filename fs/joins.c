/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to `procs`, while the keeper does what they ask. Moving a process can take
 * the kernel long, so each user has a few of them with the keeper at a time and the
 * others wait here: whoever asks for thousands waits alone. Every one is answered: in
 * time, or when patience ends, because nobody can kill a program that waits for us.
 */
#include "log.h"
#include "server.h"
#include "status.h"

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
    uint64_t number; /* a tag for the keeper: the wait may be over before it answers */
    bool given;      /* the keeper has it */
    int64_t asked_ns;
    fuse_req_t req;
    size_t written;
    struct keeper_join join;
};

/* Answers the wait at *at and takes it off the list. */
static void finish(struct server *server, struct join_wait **at, int result, const char *sentence)
{
    struct join_wait *wait = *at;
    *at = wait->next;
    status_set(server->tree.shared, wait->join.uid, sentence);
    if (result)
        fuse_reply_err(wait->req, server_errno(result));
    else
        fuse_reply_write(wait->req, wait->written);
    free(wait);
}

static void give_up(struct server *server, struct join_wait **at)
{
    const struct keeper_join *join = &(*at)->join;
    char sentence[ENGINE_SENTENCE_MAX];
    snprintf(sentence, sizeof(sentence),
             "Process %d could not join p%llu in time: the machine is held up. It may still do "
             "so: look at procs, and write it again",
             (int)join->pid, (unsigned long long)join->id);
    finish(server, at, -ETIMEDOUT, sentence);
}

/* Hands the keeper what it may have of a user, oldest first. */
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
            r = keeper_join(server->keeper, &wait->join);
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

int server_join(struct server *server, fuse_req_t req, const struct write *write, size_t size)
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
    server_arm_later(server);
    return 0;
}

void server_joined(struct server *server, const struct news *news)
{
    server->tree.joined_ns = server->tree.now_ns;
    for (struct join_wait **at = &server->joins; *at; at = &(*at)->next)
        if ((*at)->number == news->tag) {
            uint32_t uid = (*at)->join.uid;
            finish(server, at, news->result, news->sentence);
            give(server, uid);
            break;
        }
    server_arm_later(server);
}

int64_t server_joins_due_ns(const struct server *server)
{
    return server->joins ? server->joins->asked_ns + PATIENCE_NS : INT64_MAX;
}

void server_joins_late(struct server *server)
{
    while (server->joins && server_joins_due_ns(server) <= server->tree.now_ns)
        give_up(server, &server->joins);
}

void server_finish_joins(struct server *server)
{
    int64_t until_ns = server->tree.now_ns + STOP_MS * INT64_C(1000000);
    while (server->joins && server->tree.now_ns < until_ns) {
        struct pollfd fd = {.fd = keeper_fd(server->keeper), .events = POLLIN};
        poll(&fd, 1, (int)((until_ns - server->tree.now_ns) / 1000000) + 1);
        server_handle_news(server);
    }
    while (server->joins)
        give_up(server, &server->joins);
}
