/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for the host thread: how many joins a person has there, and that each request
 * is answered once, whatever happens. The test stands for the host thread and the kernel.
 */
#include "tests/check.h"
#include "tests/scratch.h"

#include "fs/fuse/server.h"
#include "fs/tree/names_system.h"
#include "fs/tree/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALICE    6101u
#define SUB      100000u /* of alice */
#define BOB      6102u
#define AT_ONCE  4
#define REQUESTS 64

static struct server server;
static char etc[SCRATCH_MAX];

/* The linker redirects the calls of pending.c here (--wrap). */
int __wrap_host_join(struct host *host, const struct host_join *join);
int __wrap_host_read(struct host *host, uint64_t id, int64_t asked_ns);
int __wrap_fuse_reply_err(fuse_req_t req, int code);
int __wrap_fuse_reply_write(fuse_req_t req, size_t size);
const struct fuse_ctx *__wrap_fuse_req_ctx(fuse_req_t req);

static struct host_join at_host[REQUESTS]; /* oldest first */
static unsigned at_host_count;
static int host_result;

int __wrap_host_join(struct host *host, const struct host_join *join)
{
    (void)host;
    if (!host_result)
        at_host[at_host_count++] = *join;
    return host_result;
}

int __wrap_host_read(struct host *host, uint64_t id, int64_t asked_ns)
{
    (void)host;
    (void)id;
    (void)asked_ns;
    return host_result;
}

/* A request of the kernel, by its place here. */
static struct request_of {
    int answers; /* how many */
    int code;
    struct fuse_ctx ctx;
} requests[REQUESTS];
static unsigned request_count;

static fuse_req_t new_request(uint32_t uid)
{
    struct request_of *request = &requests[request_count++];
    *request = (struct request_of){.ctx = {.uid = uid, .gid = uid, .pid = 1}};
    return (fuse_req_t)(void *)request;
}

static int reply(fuse_req_t req, int code)
{
    struct request_of *request = (struct request_of *)(void *)req;
    request->answers++;
    request->code = code;
    return 0;
}

int __wrap_fuse_reply_err(fuse_req_t req, int code)
{
    return reply(req, code);
}

int __wrap_fuse_reply_write(fuse_req_t req, size_t size)
{
    ck_assert_uint_eq(size, 2);
    return reply(req, 0);
}

const struct fuse_ctx *__wrap_fuse_req_ctx(fuse_req_t req)
{
    return &((struct request_of *)(void *)req)->ctx;
}

/* -- a server without a mount ----------------------------------------------------------- */

static void put(const char *name, const char *text)
{
    char path[SCRATCH_MAX + 16];
    snprintf(path, sizeof(path), "%s/%s", etc, name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void no_time(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%lld", (long long)at_ns);
}

static void setup(void)
{
    const struct engine_device device = {.memory_bytes = 1 << 20, .present = true};
    struct tree *tree = &server.tree;
    uint32_t index;
    /* Tests that share a process, as under valgrind, begin alike. */
    memset(&server, 0, sizeof(server));
    memset(requests, 0, sizeof(requests));
    at_host_count = request_count = 0;
    host_result = 0;
    scratch_make(etc);
    put("passwd", "alice:x:6101:6101::/:/bin/sh\nbob:x:6102:6102::/:/bin/sh\n");
    put("group", "");
    put("subuid", "alice:100000:65536\n");
    struct names_system system = names_system;
    system.etc = etc;
    tree_init(tree, tree_table);
    ck_assert_int_eq(names_new(&system, &tree->names), 0);
    ck_assert_int_eq(engine_new(no_time, NULL, &tree->engine), 0);
    ck_assert_int_eq(engine_add_device(tree->engine, &device, &index), 0);
    tree->shared = aligned_alloc(_Alignof(struct shared), sizeof(*tree->shared));
    memset(tree->shared, 0, sizeof(*tree->shared));
    tree->now_ns = NS_PER_SECOND;
    tree->members = &server.members;
    server.timer_fd = -1;
    server.host_state = calloc(1, sizeof(*server.host_state));
    strcpy(server.host_state->processes, "cgroup");
    server.host_state->metered = true;
    tree->host_state = server.host_state;
    server.sampled_ns = -NS_PER_SECOND;
}

static void teardown(void)
{
    for (int kind = 0; kind < PENDING_KINDS; kind++)
        ck_assert_ptr_null(server.pending[kind].first);
    for (unsigned i = 0; i < request_count; i++)
        ck_assert_msg(requests[i].answers == 1, "request %u: %d answers", i, requests[i].answers);
    engine_free(server.tree.engine);
    names_free(server.tree.names);
    free(server.tree.shared);
    free(server.host_state);
}

static uint64_t grant(uint32_t uid)
{
    const struct caller caller = {.uid = uid, .gid = uid};
    struct refusal why;
    struct request request;
    uint64_t id;
    ck_assert_int_eq(request_parse("0.1% 60", 7, &request, why.message, sizeof(why.message)), 0);
    ck_assert_int_eq(engine_create(server.tree.engine,
                                   ENGINE_CALL(server.tree.now_ns, uid, &caller, &why),
                                   &(struct creation){&request, 0, uid, uid, 0}, &id),
                     0);
    return id;
}

static void end(uint64_t id)
{
    const struct caller admin = {.admin = true, .root = true};
    struct refusal why;
    ck_assert_int_eq(
        engine_release(server.tree.engine, ENGINE_CALL(server.tree.now_ns, 0, &admin, &why), id),
        0);
}

static struct node procs_of(uint64_t id)
{
    return (struct node){.dir = DIR_PARTITION, .object = id, .file = tree_node_hash("procs")};
}

/* Write a pid to the `procs` of a partition. Return the number of the request. */
static unsigned write_procs(uint32_t uid, uint64_t id, const char *cgroup)
{
    const unsigned number = request_count;
    const struct node node = id ? procs_of(id) : (struct node){.dir = DIR_ROOT};
    const struct write write = {.node = &node,
                                .caller = {.uid = uid, .gid = uid, .pid = 1},
                                .join_pid = 77,
                                .join_cgroup = cgroup};
    ck_assert_int_eq(pending_join(&server, new_request(uid), &write, 2), 0);
    return number;
}

/* The host thread is done with its oldest join of a user. */
static void host_is_done(uint32_t uid, int result, const char *message)
{
    struct host_result *done = calloc(1, sizeof(*done) + strlen(message) + 1);
    for (unsigned i = 0; i < at_host_count; i++)
        if (at_host[i].uid == uid) {
            done->joined.tag = at_host[i].tag;
            at_host_count--;
            for (; i < at_host_count; i++)
                at_host[i] = at_host[i + 1];
            break;
        }
    ck_assert_uint_ne(done->joined.tag, 0);
    done->joined.result = result;
    strcpy(done->message, message);
    pending_joined(&server, done);
    free(done);
}

static const char *status_of(uint32_t uid)
{
    return status_get(&server.tree, uid, 0);
}

/* -- joins ------------------------------------------------------------------------------ */

/* A person has four joins at the host thread, with whatever uids; others do not wait for them. */
START_TEST(test_few_at_once)
{
    const uint64_t id = grant(ALICE);
    for (unsigned i = 0; i < 20; i++)
        write_procs(i % 2 ? ALICE : SUB + i, id, NULL);
    ck_assert_uint_eq(at_host_count, AT_ONCE);
    for (unsigned i = 0; i < 2; i++)
        write_procs(BOB, id, NULL);
    ck_assert_uint_eq(at_host_count, AT_ONCE + 2);
    host_is_done(BOB, 0, "");
    host_is_done(BOB, -EPERM, "It is not yours.");
    ck_assert_int_eq(requests[20].code, 0);
    ck_assert_int_eq(requests[21].code, EPERM);
    ck_assert_str_eq(status_of(BOB), "It is not yours.");
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_uint_eq(at_host_count, 20 - i < AT_ONCE ? 20 - i : AT_ONCE);
        ck_assert_uint_eq(at_host[0].uid, i % 2 ? ALICE : SUB + i); /* oldest first */
        host_is_done(at_host[0].uid, 0, "");
        ck_assert_int_eq(requests[i].answers, 1);
    }
}
END_TEST

/* A join that waits for its turn is refused then if the partition has ended, and takes no place. */
START_TEST(test_ends_while_it_waits)
{
    const uint64_t stays = grant(ALICE), ends = grant(ALICE);
    for (unsigned i = 0; i < AT_ONCE; i++)
        write_procs(ALICE, stays, NULL);
    for (unsigned i = 0; i < 3; i++)
        write_procs(ALICE, ends, NULL);
    write_procs(ALICE, stays, NULL);
    end(ends);
    host_is_done(ALICE, 0, "");
    for (unsigned i = AT_ONCE; i < AT_ONCE + 3; i++)
        ck_assert_int_eq(requests[i].code, ENODEV);
    ck_assert_str_eq(status_of(ALICE), "The partition has ended.");
    ck_assert_uint_eq(at_host_count, AT_ONCE);
    while (at_host_count)
        host_is_done(ALICE, 0, "");
}
END_TEST

/* Partitions that could not be made durable: their joins are refused, whether the host thread has
 * them or not, and the others take their places. */
START_TEST(test_taken_back)
{
    const uint64_t stays = grant(ALICE);
    const uint64_t lost[] = {grant(ALICE), grant(BOB)};
    for (unsigned i = 0; i < 24; i++)
        write_procs(i % 2 ? BOB : ALICE, i % 3 ? lost[i % 2] : stays, NULL);
    ck_assert_uint_eq(at_host_count, 2 * AT_ONCE);
    end(lost[0]);
    end(lost[1]);
    pending_failed(&server, lost[0]);
    unsigned left = 0;
    for (unsigned i = 0; i < 24; i++) {
        ck_assert_int_eq(requests[i].answers, i % 3 ? 1 : 0);
        if (requests[i].answers)
            ck_assert_int_eq(requests[i].code, ENODEV);
        else
            left++;
    }
    ck_assert_str_eq(status_of(ALICE), "The partition could not be made durable.");
    ck_assert_str_eq(status_of(BOB), "The partition could not be made durable.");
    /* What the host thread says of those that were refused changes nothing. */
    ck_assert_uint_eq(left, 8);
    while (at_host_count)
        host_is_done(at_host[0].uid, 0, "");
}
END_TEST

START_TEST(test_host_has_no_memory)
{
    const uint64_t id = grant(ALICE);
    host_result = -ENOMEM;
    write_procs(ALICE, id, NULL);
    ck_assert_int_eq(requests[0].code, ENOMEM);
    ck_assert_str_eq(status_of(ALICE), "There is not enough memory.");
    host_result = 0;
    write_procs(ALICE, id, NULL);
    host_is_done(ALICE, 0, "");
}
END_TEST

/* -- asking whether the caller belongs ---------------------------------------------------- */

static unsigned went_on;

static void go_on(const struct query *query, const char *data)
{
    ck_assert(query->belongs);
    ck_assert(!data || !strcmp(data, "x"));
    went_on++;
    fuse_reply_err(query->req, 0);
}

static unsigned ask(uint32_t uid, uint64_t id, const char *data)
{
    const unsigned number = request_count;
    struct fuse_file_info fi = {0};
    const struct query query = {.server = &server,
                                .req = new_request(uid),
                                .node = procs_of(id),
                                .size = data ? 2 : 0,
                                .fi = &fi};
    ck_assert_int_eq(pending_ask(&query, data, go_on), 0);
    return number;
}

START_TEST(test_asked)
{
    const uint64_t id = grant(ALICE);
    ask(BOB, id, NULL);
    ask(BOB, id, "x");
    ck_assert_uint_eq(at_host_count, 2);
    host_is_done(BOB, 0, "");
    host_is_done(BOB, 0, "");
    ck_assert_uint_eq(went_on, 2);
    const unsigned opens = ask(BOB, id, NULL), writes = ask(BOB, id, "x");
    host_is_done(BOB, -EPERM, "You do not belong.");
    host_is_done(BOB, -EPERM, "You do not belong.");
    ck_assert_uint_eq(went_on, 2);
    ck_assert_int_eq(requests[opens].code, EACCES);
    ck_assert_int_eq(requests[writes].code, EPERM);
}
END_TEST

/* -- timeouts --------------------------------------------------------------------------- */

static unsigned read_late, read_fresh;

static void answer_read(const struct query *query)
{
    query->late ? read_late++ : read_fresh++;
    fuse_reply_err(query->req, 0);
}

/* Read a file that only the host thread knows. Return whether the answer waits. */
static bool reads(uint64_t id, const char *name)
{
    struct query query = {.server = &server, .req = new_request(ALICE), .node = procs_of(id)};
    query.node.file = tree_node_hash(name);
    query.row = tree_row(&server.tree, &query.node);
    bool waits = pending_read(&query, answer_read);
    if (!waits)
        fuse_reply_err(query.req, 0);
    return waits;
}

START_TEST(test_reads)
{
    const uint64_t id = grant(ALICE);
    ck_assert(reads(id, "procs"));
    ck_assert(reads(id, "memory_used"));
    ck_assert(!reads(id, "label")); /* the engine knows */
    const int64_t asked_ns = server.tree.now_ns;
    pending_answer(&server, id, asked_ns - 1); /* older than the question */
    pending_answer(&server, id + 1, asked_ns);
    ck_assert_uint_eq(read_fresh, 0);
    pending_answer(&server, id, asked_ns);
    ck_assert_uint_eq(read_fresh, 1);
    pending_answer(&server, HOST_USAGE, asked_ns);
    ck_assert_uint_eq(read_fresh, 2);
    ck_assert(reads(id, "procs"));
    ck_assert(reads(id, "memory_used"));
    server.tree.now_ns += 200 * NS_PER_MS;
    pending_expire(&server);
    ck_assert_uint_eq(read_late, 1); /* the last sample is shown */
    server.tree.now_ns += 1800 * NS_PER_MS;
    pending_expire(&server);
    ck_assert_uint_eq(read_late, 2);
    host_result = -EAGAIN; /* too many wait already: answer with what is known */
    ck_assert(!reads(id, "memory_used"));
    host_result = 0;
    server.sampled_ns = server.tree.now_ns;
    ck_assert(!reads(id, "memory_used"));
    ck_assert_uint_eq(read_fresh, 2);
}
END_TEST

/* Each kind of request is refused after ten seconds, with a message that says what to look at. */
START_TEST(test_joins_late)
{
    const uint64_t id = grant(ALICE);
    const char *const says[] = {"check procs, then write it again", "Write it again",
                                "has not left in time", "has it; if not, write it again",
                                "whether you belong"};
    for (unsigned i = 0; i < ARRAY_COUNT(says); i++) {
        for (unsigned before = 0; i == 1 && before < AT_ONCE; before++)
            write_procs(SUB, id, NULL);
        const unsigned number =
            i == 4 ? ask(ALICE, id, NULL)
                   : write_procs(ALICE, i == 2 ? 0 : id, i == 3 ? "/sys/fs/cgroup/x" : NULL);
        if (i == 4)
            ck_assert_uint_eq(at_host_count, 1);
        server.tree.now_ns += 10 * NS_PER_SECOND - 1;
        pending_expire(&server);
        ck_assert_int_eq(requests[number].answers, 0);
        server.tree.now_ns += 1;
        pending_expire(&server);
        ck_assert_int_eq(requests[number].code, i == 4 ? EAGAIN : ETIMEDOUT);
        ck_assert_msg(strstr(status_of(ALICE), says[i]), "%s", status_of(ALICE));
        /* The host thread answers after all. */
        for (struct host_result late = {0}; at_host_count; at_host_count--) {
            late.joined.tag = at_host[at_host_count - 1].tag;
            pending_joined(&server, &late);
        }
    }
}
END_TEST

int main(void)
{
    return check_main("pending", setup, teardown, test_few_at_once, test_ends_while_it_waits,
                      test_taken_back, test_host_has_no_memory, test_asked, test_reads,
                      test_joins_late);
}
