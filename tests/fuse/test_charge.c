/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charges without a mount: what a worker finds after the death of another at any moment,
 * and the layout of the shared memory, which a worker of another version must not take
 * over.
 */
#define FUSE_USE_VERSION 314
#include "core/host/bookings.h"
#include "fs/fuse/session.h"
#include "fs/tree/charge.h"
#include "tests/check.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIMIT UINT64_C(1000)

static struct tree tree;
static struct handles handles;
static struct node charge;
static uint64_t partition_id;
static uint64_t fh;

static void no_time(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%lld", (long long)at_ns);
}

static bool is_alive(void *context, uint64_t id)
{
    (void)context;
    return engine_find(tree.engine, id);
}

static void setup(void)
{
    struct engine_device device = {.memory_bytes = 2 * LIMIT, .present = true};
    struct caller caller = {.uid = 7, .gid = 7};
    struct request request;
    struct refusal why = {""};
    uint32_t index;
    tree_init(&tree, tree_table);
    tree.now_ns = 100 * NS_PER_SECOND;
    ck_assert_int_eq(engine_new(no_time, NULL, &tree.engine), 0);
    ck_assert_int_eq(engine_add_device(tree.engine, &device, &index), 0);
    ck_assert_int_eq(request_parse("0.5 60", 6, &request, why.message, 256), 0);
    ck_assert_int_eq(engine_create(tree.engine, ENGINE_CALL(tree.now_ns, 7, &caller, &why),
                                   &(struct creation){&request, 0, 7, 7, 0}, &partition_id),
                     0);
    ck_assert_int_eq(ledger_new(-1, is_alive, NULL, &tree.ledger), 0);
    ck_assert_int_eq(bookings_new(&tree.bookings), 0);
    ck_assert_int_eq(handles_open(&handles, memfd_create("handles", 0), NULL), 0);
    charge = (struct node){
        .dir = DIR_PARTITION, .object = partition_id, .file = tree_node_hash("charge")};
    ck_assert_int_eq(handles_take(&handles, tree_node_id(&charge), 7, &fh), 0);
    (void)charge_open(&tree, &charge, &caller, handles_get(&handles, fh));
}

static void teardown(void)
{
    int fd = handles.fd;
    handles_close(&handles);
    close(fd);
    ledger_free(tree.ledger);
    bookings_free(tree.bookings);
    engine_free(tree.engine);
}

/* Replace the worker: only the slots remain. */
static void next_worker(void)
{
    int fd = handles.fd;
    handles_close(&handles);
    ck_assert_int_eq(handles_open(&handles, fd, NULL), 0);
    ledger_free(tree.ledger);
    bookings_free(tree.bookings);
    ck_assert_int_eq(bookings_new(&tree.bookings), 0);
    ck_assert_int_eq(ledger_new(-1, is_alive, NULL, &tree.ledger), 0);
    ck_assert_int_eq(charge_restore(&tree, &handles), 0);
}

static int write_charge(uint64_t number, const char *text, uint64_t unique)
{
    struct write write = {.node = &charge,
                          .text = text,
                          .length = strlen(text),
                          .handle = handles_get(&handles, number),
                          .fh = number,
                          .unique = unique};
    return charge_store(&tree, &write);
}

static uint64_t charged(void)
{
    struct ledger_figures figures;
    ledger_get(tree.ledger, partition_id, &figures);
    return figures.charged_bytes;
}

/* A worker charged and died before it answered: the next one takes up the write. */
START_TEST(test_once)
{
    ck_assert_int_eq(write_charge(fh, "+100", 2), 0);
    ck_assert_int_eq(write_charge(fh, "+600", 4), 0);
    next_worker();
    ck_assert_uint_eq(charged(), 700);
    ck_assert_int_eq(write_charge(fh, "+600", 4), 0); /* it would not fit twice */
    ck_assert_uint_eq(charged(), 700);
    ck_assert_int_eq(write_charge(fh, "-650", 6), 0);
    next_worker();
    ck_assert_int_eq(write_charge(fh, "-650", 6), 0); /* this much was never charged */
    ck_assert_uint_eq(charged(), 50);
    /* A charge that the dead worker had only read is made. */
    ck_assert_int_eq(write_charge(fh, "+5", 8), 0);
    ck_assert_uint_eq(charged(), 55);
    ck_assert_int_eq(write_charge(fh, "+7", 9), 0);
    ck_assert_uint_eq(charged(), 62);
    ck_assert_int_eq(write_charge(fh, "-7", 11), 0);
    /* A refused charge can succeed under the next worker: the refusal was never delivered. */
    ck_assert_int_eq(write_charge(fh, "+946", 10), REFUSED_NO_SPACE);
    ck_assert_int_eq(write_charge(fh, "-1", 12), 0);
    next_worker();
    ck_assert_int_eq(write_charge(fh, "+946", 10), 0);
    ck_assert_uint_eq(charged(), LIMIT);
    /* Charged before the end of the partition, answered after it. */
    struct caller admin = {.admin = true, .root = true};
    struct refusal why;
    ck_assert_int_eq(
        engine_release(tree.engine, ENGINE_CALL(tree.now_ns, 7, &admin, &why), partition_id), 0);
    next_worker();
    ck_assert_int_eq(write_charge(fh, "+946", 10), 0);
    ck_assert_int_eq(write_charge(fh, "+946", 14), -ETIMEDOUT);
    ck_assert_int_eq(write_charge(fh, "-1000", 16), 0);
}
END_TEST

/* The worker died during the next charge: the charge before still counts. */
START_TEST(test_half_done)
{
    ck_assert_int_eq(write_charge(fh, "+100", 2), 0);
    for (int part = 0; part < 3; part++) {
        struct shared_handle *slot = handles_get(&handles, fh);
        struct shared_charge *next = &slot->charges[!slot->charge_at];
        next->unique = part == 1 ? next->unique : 4;
        next->bytes = part == 0 ? next->bytes : 900;
        next_worker();
        ck_assert_uint_eq(charged(), 100);
        ck_assert_int_eq(write_charge(fh, "+10", 4), 0);
        ck_assert_uint_eq(charged(), 110);
        ck_assert_int_eq(write_charge(fh, "-10", 6), 0);
        ck_assert_uint_eq(charged(), 100);
    }
}
END_TEST

/* The previous record stays intact until one store makes the next one current. */
START_TEST(test_one_store)
{
    for (uint64_t i = 1; i < 5; i++) {
        struct shared_handle before = *handles_get(&handles, fh);
        ck_assert_int_eq(write_charge(fh, i % 3 ? "+10" : "-5", 2 * i), 0);
        struct shared_handle *after = handles_get(&handles, fh);
        unsigned at = before.charge_at;
        ck_assert_uint_ne(after->charge_at, at);
        ck_assert_uint_eq(after->charges[at].unique, before.charges[at].unique);
        ck_assert_uint_eq(after->charges[at].bytes, before.charges[at].bytes);
    }
}
END_TEST

/* The next worker sums up the open charges of live partitions, and nothing else. */
START_TEST(test_sums)
{
    uint64_t other, gone, elsewhere;
    struct node ended = {.dir = DIR_PARTITION, .object = 99, .file = charge.file};
    ck_assert_int_eq(handles_take(&handles, tree_node_id(&charge), 7, &other), 0);
    ck_assert_int_eq(handles_take(&handles, tree_node_id(&charge), 7, &gone), 0);
    ck_assert_int_eq(handles_take(&handles, tree_node_id(&ended), 7, &elsewhere), 0);
    handles_get(&handles, elsewhere)->charges[0].bytes = 5;
    ck_assert_int_eq(write_charge(fh, "+100", 2), 0);
    ck_assert_int_eq(write_charge(other, "+30", 4), 0);
    ck_assert_int_eq(write_charge(gone, "+4", 6), 0);
    charge_close(&tree, handles_get(&handles, gone));
    handles_release(&handles, gone);
    ck_assert_uint_eq(charged(), 130);
    next_worker();
    ck_assert_uint_eq(charged(), 130);
    ck_assert_ptr_null(handles_get(&handles, gone));
    /* A new file in a reused slot starts without a charge. */
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(handles_take(&handles, tree_node_id(&charge), 7, &gone), 0);
        ck_assert_int_eq(write_charge(gone, "-1", 8), REFUSED_INVALID);
        ck_assert_int_eq(write_charge(gone, "+0", 6), 0);
    }
    next_worker();
    ck_assert_uint_eq(charged(), 130);
}
END_TEST

/* The limit was raised, but the raise was not durable: more is charged than fits. */
START_TEST(test_over)
{
    struct caller admin = {.admin = true, .root = true};
    struct refusal why;
    ck_assert_int_eq(write_charge(fh, "+900", 2), 0);
    ck_assert_int_eq(
        engine_resize(tree.engine, ENGINE_CALL(tree.now_ns, 7, &admin, &why), partition_id, 500),
        0);
    ck_assert_int_eq(write_charge(fh, "+1", 4), REFUSED_NO_SPACE);
    ck_assert_int_eq(write_charge(fh, "-400", 6), 0);
    ck_assert_int_eq(write_charge(fh, "+1", 8), REFUSED_NO_SPACE);
    ck_assert_int_eq(write_charge(fh, "-2", 10), 0);
    ck_assert_int_eq(write_charge(fh, "+2", 12), 0);
    ck_assert_uint_eq(charged(), 500);
}
END_TEST

/* A driver reports this of process 11. */
static void look(uint64_t bytes)
{
    const struct bookings_use use = {partition_id, 11, bytes};
    bookings_look(tree.bookings);
    bookings_compare(tree.bookings, &use, 1);
    ledger_set_rest(tree.ledger, partition_id, bookings_rest(tree.bookings, partition_id));
}

static uint64_t used(void)
{
    struct ledger_figures figures;
    ledger_get(tree.ledger, partition_id, &figures);
    return figures.used_bytes;
}

/* Let process 11 open a file. */
static uint64_t open_file(void)
{
    uint64_t file;
    ck_assert_int_eq(handles_take(&handles, tree_node_id(&charge), 7, &file), 0);
    struct shared_handle *slot = handles_get(&handles, file);
    slot->opener_root = 1;
    slot->process = 11;
    ck_assert_int_eq(bookings_open(tree.bookings, partition_id, 11), 0);
    return file;
}

/* A file is opened again: what its first line says and the driver reports is one and the same. */
START_TEST(test_again)
{
    ck_assert_int_eq(ledger_reserve(tree.ledger, partition_id), 0);
    look(700);
    uint64_t file = open_file();
    ck_assert_int_eq(write_charge(file, "+1001", 2), REFUSED_NO_SPACE);
    ck_assert_uint_eq(used(), 700);
    ck_assert_int_eq(write_charge(fh, "+301", 4), REFUSED_NO_SPACE);
    ck_assert_int_eq(write_charge(file, "+680", 6), 0);
    ck_assert_uint_eq(charged(), 680);
    ck_assert_uint_eq(used(), 700);
    ck_assert_int_eq(write_charge(file, "+301", 8), REFUSED_NO_SPACE);
    ck_assert_int_eq(write_charge(file, "+300", 10), 0);
    ck_assert_uint_eq(used(), 1000);
    /* Over the limit: what is held already is not refused. */
    charge_close(&tree, handles_get(&handles, file));
    handles_release(&handles, file);
    look(1100);
    file = open_file();
    ck_assert_int_eq(write_charge(file, "+1050", 12), 0);
    ck_assert_uint_eq(used(), 1100);
    ck_assert_int_eq(write_charge(file, "+1", 14), REFUSED_NO_SPACE);
    /* Nothing is held, says the first line; so the next ones ask for more. */
    charge_close(&tree, handles_get(&handles, file));
    handles_release(&handles, file);
    look(700);
    file = open_file();
    ck_assert_int_eq(write_charge(file, "+0", 16), 0);
    ck_assert_int_eq(write_charge(file, "+301", 18), REFUSED_NO_SPACE);
    ck_assert_int_eq(write_charge(file, "+300", 20), 0);
    ck_assert_uint_eq(used(), 1000);
}
END_TEST

/* A program of another version does not touch the shared memory. */
START_TEST(test_layout)
{
    static const struct fuse_lowlevel_ops ops;
    struct worker_fds fds = {.shared = memfd_create("shared", 0)};
    struct session *link;
    ck_assert_int_eq(ftruncate(fds.shared, sizeof(struct shared)), 0);
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fds.shared, 0);
    for (int wrong = 0; wrong < 3; wrong++) {
        shared->version = SHARED_VERSION + (wrong == 0);
        shared->size = (uint32_t)sizeof(*shared) - (wrong == 1);
        shared->handle_size = (uint32_t)sizeof(struct shared_handle) + (wrong == 2 ? 8 : 0);
        ck_assert_int_eq(session_open(&fds, NULL, &ops, NULL, &link), -EPROTO);
    }
    munmap(shared, sizeof(*shared));
    close(fds.shared);
}
END_TEST

int main(void)
{
    return check_main("charge", setup, teardown, test_once, test_half_done, test_one_store,
                      test_sums, test_over, test_again, test_layout);
}
