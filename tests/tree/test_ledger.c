/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usage of partitions: the table against a plain model, its growth and compaction, what
 * outlives a worker, and the entries that changed since they were taken.
 */
#include "core/engine/partition.h"
#include "fs/tree/ledger.h"
#include "tests/check.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_IDS 600u

static int fd = -1; /* memory that outlives a worker */
static struct ledger *ledger;
static uint64_t first_alive, last_alive; /* ids of live partitions */
static uint64_t asked;                   /* number of calls of is_alive */

static bool is_alive(void *context, uint64_t id)
{
    asked += context == &first_alive;
    return id >= first_alive && id <= last_alive;
}

static void setup(void)
{
    first_alive = 1;
    last_alive = UINT64_MAX;
    fd = memfd_create("ledger", MFD_CLOEXEC);
    ck_assert_int_eq(ledger_new(fd, is_alive, &first_alive, &ledger), 0);
}

static void teardown(void)
{
    ledger_free(ledger);
    close(fd);
}

/* Start the next worker. */
static void reopen(void)
{
    ledger_free(ledger);
    ck_assert_int_eq(ledger_new(fd, is_alive, &first_alive, &ledger), 0);
    ledger_forget_ended(ledger);
}

static void charge(uint64_t id, uint64_t bytes)
{
    ck_assert_int_eq(ledger_reserve(ledger, id), 0);
    ledger_charge(ledger, id, bytes);
}

static struct ledger_figures get(uint64_t id)
{
    struct ledger_figures figures;
    ledger_get(ledger, id, &figures);
    return figures;
}

static void expect(uint64_t id, uint64_t charged, uint64_t driver, uint64_t peak, uint64_t busy)
{
    struct ledger_figures f = get(id);
    ck_assert_msg(f.charged_bytes == charged && f.driver_bytes == driver && f.peak_bytes == peak &&
                      f.busy_ns == busy && f.used_bytes == (charged > driver ? charged : driver),
                  "p%llu: %llu %llu %llu %llu %llu", (unsigned long long)id,
                  (unsigned long long)f.charged_bytes, (unsigned long long)f.driver_bytes,
                  (unsigned long long)f.used_bytes, (unsigned long long)f.peak_bytes,
                  (unsigned long long)f.busy_ns);
}

START_TEST(test_figures)
{
    expect(1, 0, 0, 0, 0);
    charge(1, 100);
    charge(1, 50);
    expect(1, 150, 0, 150, 0);
    ledger_release(ledger, 1, 120);
    expect(1, 30, 0, 150, 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 1, 140), 0);
    expect(1, 30, 140, 150, 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 1, 170), 0);
    expect(1, 30, 170, 170, 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 1, 10), 0);
    charge(1, 1);
    expect(1, 31, 10, 170, 0);
    ck_assert_int_eq(ledger_add_busy(ledger, 1, 5), 0);
    ck_assert_int_eq(ledger_add_busy(ledger, 1, 6), 0);
    expect(1, 31, 10, 170, 11);
    ledger_release(ledger, 2, 7); /* no entry */
    expect(2, 0, 0, 0, 0);
}
END_TEST

/* Grow with the number of partitions, and find each. */
START_TEST(test_many)
{
    for (uint64_t id = 1; id <= 20000; id++)
        charge(id * 7, id);
    for (uint64_t id = 1; id <= 20000; id++)
        expect(id * 7, id, 0, id, 0);
    uint32_t cursor = 0, count = 0;
    struct ledger_figures figures;
    uint64_t id, sum = 0;
    while (ledger_next(ledger, &cursor, &id, &figures)) {
        ck_assert_uint_eq(figures.charged_bytes * 7, id);
        sum += figures.charged_bytes;
        count++;
    }
    ck_assert_uint_eq(count, 20000);
    ck_assert_uint_eq(sum, UINT64_C(20000) * 20001 / 2);
    reopen();
    for (id = 1; id <= 20000; id++)
        expect(id * 7, 0, 0, id, 0);
}
END_TEST

/* Ended partitions make room: table and file stay as small as live partitions allow. */
START_TEST(test_room)
{
    struct stat st;
    charge(1, 5); /* ended long ago, and still charged */
    for (uint64_t id = 2; id <= 50000; id++) {
        first_alive = id > 12 ? id - 10 : 2;
        last_alive = id;
        charge(id, id);
        if (id % 3)
            ledger_release(ledger, id, id);
        else if (id > 30)
            ledger_release(ledger, id - 27, id - 27);
        for (uint64_t live = first_alive; live <= id; live++)
            ck_assert_uint_eq(get(live).peak_bytes, live);
    }
    expect(1, 5, 0, 5, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_msg(st.st_size < 20000, "%lld", (long long)st.st_size);
    ledger_release(ledger, 1, 5);
    reopen();
    expect(1, 0, 0, 0, 0);
    expect(49980, 0, 0, 0, 0);
    expect(50000, 0, 0, 50000, 0);
    /* A new id in a reused place starts at zero. */
    for (uint64_t id = 60000; id < 60300; id++) {
        last_alive = id;
        ck_assert_int_eq(ledger_reserve(ledger, id), 0);
        expect(id, 0, 0, 0, 0);
    }
}
END_TEST

/* Checks for ended ids are rare, no matter how many live beside those that come and go. */
START_TEST(test_looks)
{
    asked = 0; /* tests may share a process */
    for (uint64_t id = 1; id <= 5000; id++) {
        first_alive = id > 250 ? id - 250 : 1;
        last_alive = id;
        ck_assert_int_eq(ledger_reserve(ledger, id), 0);
    }
    ck_assert_msg(asked > 0 && asked < 4 * 5000, "%llu", (unsigned long long)asked);
}
END_TEST

START_TEST(test_next_worker)
{
    charge(1, 100);
    charge(2, 200);
    ck_assert_int_eq(ledger_add_busy(ledger, 2, 9), 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 2, 300), 0);
    first_alive = 2;
    reopen();
    first_alive = 1;
    expect(1, 0, 0, 0, 0);
    expect(2, 0, 0, 300, 9);
    /* A duplicate id, which no worker leaves behind, is counted once. */
    charge(7, 70);
    uint64_t twin[3] = {7, 71, 0};
    ck_assert_int_eq(pwrite(fd, twin, sizeof(twin), 10 * sizeof(twin)), sizeof(twin));
    reopen();
    ck_assert_uint_ge(get(7).peak_bytes, 70);
    uint32_t cursor = 0, count = 0;
    struct ledger_figures figures;
    uint64_t id;
    while (ledger_next(ledger, &cursor, &id, &figures))
        count++;
    ck_assert_uint_eq(count, 2);
}
END_TEST

/* Figures from the store are used unless the shared memory has newer ones. */
START_TEST(test_restore)
{
    charge(1, 100);
    ck_assert_int_eq(ledger_restore(ledger, 1, 50, 7), 0);
    expect(1, 100, 0, 100, 7);
    ck_assert_int_eq(ledger_restore(ledger, 2, 500, 0), 0);
    expect(2, 0, 0, 500, 0);
    charge(2, 10);
    expect(2, 10, 0, 500, 0);
    ck_assert_int_eq(ledger_restore(ledger, 3, 0, 0), 0);
    expect(3, 0, 0, 0, 0);
}
END_TEST

/* Return the changed live ids as a sum of powers of two. */
static unsigned take(void)
{
    unsigned ids = 0;
    uint32_t cursor = 0;
    uint64_t id;
    struct ledger_figures figures;
    while (ledger_take_changed(ledger, &cursor, &id, &figures)) {
        ck_assert_uint_eq(figures.peak_bytes, get(id).peak_bytes);
        ids |= 1u << id;
    }
    ck_assert_uint_eq(ledger_changed(ledger), 0);
    return ids;
}

START_TEST(test_changed)
{
    ck_assert_uint_eq(ledger_changed(ledger), 0);
    charge(1, 100);
    charge(2, 100);
    charge(2, 1);
    ck_assert_int_eq(ledger_add_busy(ledger, 3, 1), 0);
    ck_assert_int_eq(ledger_reserve(ledger, 4), 0);
    ck_assert_int_eq(ledger_restore(ledger, 5, 9, 9), 0); /* stored already */
    ck_assert_uint_eq(ledger_changed(ledger), 3);
    ck_assert_uint_eq(take(), 1u << 1 | 1u << 2 | 1u << 3);
    ledger_release(ledger, 1, 60);
    charge(1, 60); /* below the peak */
    ck_assert_uint_eq(take(), 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 1, 200), 0);
    ck_assert_uint_eq(take(), 1u << 1);
    ledger_put_back(ledger, 1);
    ledger_put_back(ledger, 20); /* no entry */
    ck_assert_uint_eq(take(), 1u << 1);
    first_alive = 3;
    charge(2, 100);
    ck_assert_int_eq(ledger_add_busy(ledger, 3, 1), 0);
    ck_assert_uint_eq(take(), 1u << 3); /* an ended one is in the history */
    ledger_release(ledger, 2, 201);
    ledger_put_back(ledger, 2);
    ledger_forget_ended(ledger);
    ck_assert_uint_eq(ledger_changed(ledger), 0);
    reopen(); /* the last worker may have died before it stored what it took */
    ck_assert_uint_eq(take(), 1u << 3 | 1u << 4 | 1u << 5);
}
END_TEST

/* Private memory that does not outlive the ledger. */
/* A driver can report nonsense; the store takes at most INT64_MAX. */
START_TEST(test_bounds)
{
    ck_assert_int_eq(ledger_set_driver(ledger, 1, UINT64_MAX), 0);
    ck_assert_int_eq(ledger_add_busy(ledger, 1, INT64_MAX), 0);
    ck_assert_int_eq(ledger_add_busy(ledger, 1, INT64_MAX), 0);
    ck_assert_uint_eq(get(1).peak_bytes, INT64_MAX);
    ck_assert_uint_eq(get(1).busy_ns, INT64_MAX);
}
END_TEST

START_TEST(test_no_memfd)
{
    ledger_free(ledger);
    ck_assert_int_eq(ledger_new(-1, is_alive, &first_alive, &ledger), 0);
    for (uint64_t id = 1; id <= 3000; id++)
        charge(id, id);
    for (uint64_t id = 1; id <= 3000; id++)
        expect(id, id, 0, id, 0);
}
END_TEST

/* Random operations in random order, against arrays. */
START_TEST(test_model)
{
    static struct ledger_figures model[MODEL_IDS];
    memset(model, 0, sizeof(model));
    unsigned seed = 11;
    for (int i = 0; i < 200000; i++) {
        uint64_t id = 1 + (unsigned)rand_r(&seed) % (MODEL_IDS - 1);
        uint64_t bytes = (unsigned)rand_r(&seed) % 1000;
        struct ledger_figures *m = &model[id];
        switch (rand_r(&seed) % 4) {
        case 0:
            charge(id, bytes);
            m->charged_bytes += bytes;
            break;
        case 1:
            bytes = bytes < m->charged_bytes ? bytes : m->charged_bytes;
            ledger_release(ledger, id, bytes);
            m->charged_bytes -= bytes;
            break;
        case 2:
            ck_assert_int_eq(ledger_set_driver(ledger, id, bytes * 3), 0);
            m->driver_bytes = bytes * 3;
            break;
        default:
            ck_assert_int_eq(ledger_add_busy(ledger, id, bytes), 0);
            m->busy_ns += bytes;
        }
        uint64_t most = m->charged_bytes > m->driver_bytes ? m->charged_bytes : m->driver_bytes;
        m->peak_bytes = most > m->peak_bytes ? most : m->peak_bytes;
        expect(id, m->charged_bytes, m->driver_bytes, m->peak_bytes, m->busy_ns);
        if (i % 50000 == 49999) {
            reopen();
            for (id = 1; id < MODEL_IDS; id++) {
                model[id].charged_bytes = model[id].driver_bytes = 0;
                expect(id, 0, 0, model[id].peak_bytes, model[id].busy_ns);
            }
        }
    }
}
END_TEST

/* The figures of shares are their own, and those of their partition the sums; its peak is that of
 * the sum. Only the partition's are kept for longer. */
START_TEST(test_shares)
{
    uint64_t first = share_key(7, 2, 0), second = share_key(7, 2, 1), id;
    struct ledger_figures figures;
    uint32_t cursor = 0, seen = 0;

    ck_assert_uint_eq(share_key(7, 1, 0), 7);
    ck_assert_uint_eq(share_key_id(second), 7);
    ck_assert_uint_eq(share_key_index(second), 1);
    ck_assert_int_eq(ledger_restore(ledger, 7, 60, 1000), 0);
    expect(7, 0, 0, 60, 1000);
    charge(second, 50);
    expect(7, 50, 0, 60, 1000);
    expect(first, 0, 0, 0, 0);
    expect(second, 50, 0, 50, 0);
    charge(first, 30);
    expect(7, 80, 0, 80, 1000);
    ledger_release(ledger, second, 50);
    charge(first, 40);
    expect(7, 70, 0, 80, 1000);
    expect(first, 70, 0, 70, 0);
    ck_assert_int_eq(ledger_add_busy(ledger, second, 5), 0);
    ck_assert_int_eq(ledger_set_driver(ledger, second, 90), 0);
    ck_assert_uint_eq(get(7).used_bytes, 160); /* each device's own maximum, added up */
    ck_assert_uint_eq(get(7).peak_bytes, 160);
    ck_assert_uint_eq(get(second).busy_ns, 5);
    ck_assert_uint_eq(get(7).busy_ns, 1005);
    charge(8, 1);
    while (ledger_next(ledger, &cursor, &id, &figures)) {
        ck_assert(id == first || id == second || id == 8);
        seen++;
    }
    ck_assert_uint_eq(seen, 3);
    for (cursor = seen = 0; ledger_take_changed(ledger, &cursor, &id, &figures); seen++)
        ck_assert(id == 8 || (id == 7 && figures.peak_bytes == 160 && figures.busy_ns == 1005));
    ck_assert_uint_eq(seen, 2);
    reopen();
    expect(7, 0, 0, 160, 1005);
    expect(first, 0, 0, 70, 0);
    charge(first, 10);
    expect(7, 10, 0, 160, 1005);
    first_alive = 8; /* it ends, and is charged: its end can be taken back */
    ledger_forget_ended(ledger);
    expect(7, 10, 0, 160, 1005);
    ledger_release(ledger, first, 10);
    ledger_forget_ended(ledger);
    expect(7, 0, 0, 0, 0);
    expect(first, 0, 0, 0, 0);
    expect(second, 0, 0, 0, 0);
}
END_TEST

/* Many partitions with shares, beside others, over growth, sweeps and workers. */
START_TEST(test_many_shares)
{
    for (uint64_t id = 1; id <= 3000; id++) {
        uint32_t count = 1 + id % SHARE_MAX;
        for (uint32_t i = 0; i < count; i++)
            charge(share_key(id, count, i), id * 10 + i);
        if (id > 500)
            first_alive = id - 400;
        for (uint64_t old = id - 400; id % 500 == 0 && old <= id; old++) {
            uint64_t sum = 0, shares = 1 + old % SHARE_MAX;
            for (uint32_t i = 0; i < shares; i++) {
                ck_assert_uint_eq(get(share_key(old, (uint32_t)shares, i)).charged_bytes,
                                  old * 10 + i);
                sum += old * 10 + i;
            }
            expect(old, sum, 0, sum, 0);
        }
        for (uint32_t i = 0; id > 410 && i < 1 + (id - 410) % SHARE_MAX; i++)
            ledger_release(ledger, share_key(id - 410, 1 + (id - 410) % SHARE_MAX, i),
                           (id - 410) * 10 + i);
    }
    reopen();
    expect(3000, 0, 0, 30000 * (1 + 3000 % SHARE_MAX), 0);
}
END_TEST

int main(void)
{
    return check_main("ledger", setup, teardown, test_figures, test_many, test_room, test_looks,
                      test_next_worker, test_restore, test_changed, test_bounds, test_no_memfd,
                      test_model, test_shares, test_many_shares);
}
