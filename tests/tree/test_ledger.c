/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What partitions use: the table against a plain model, how it grows and makes room,
 * and what the file brings over a restart.
 */
#include "fs/tree/ledger.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_IDS 600u

static char directory[64], file[96];
static struct ledger *ledger;
static uint64_t first_alive, last_alive; /* ids that live */
static uint64_t asked;                   /* how often that was asked for */

static bool is_alive(void *context, uint64_t id)
{
    asked += context == &first_alive;
    return id >= first_alive && id <= last_alive;
}

static void setup(void)
{
    snprintf(directory, sizeof(directory), "/tmp/test-ledger.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(file, sizeof(file), "%s/usage", directory);
    first_alive = 1;
    last_alive = UINT64_MAX;
    ck_assert_int_eq(ledger_new(directory, is_alive, &first_alive, &ledger), 0);
}

static void teardown(void)
{
    ledger_free(ledger);
    unlink(file);
    snprintf(file, sizeof(file), "%s/elsewhere", directory);
    unlink(file);
    rmdir(directory);
}

static void reopen(void)
{
    ledger_free(ledger);
    ck_assert_int_eq(ledger_new(directory, is_alive, &first_alive, &ledger), 0);
}

static void book(uint64_t id, uint64_t bytes)
{
    ck_assert_int_eq(ledger_reserve(ledger, id), 0);
    ledger_book(ledger, id, bytes);
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
    book(1, 100);
    book(1, 50);
    expect(1, 150, 0, 150, 0);
    ledger_give_back(ledger, 1, 120);
    expect(1, 30, 0, 150, 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 1, 140), 0);
    expect(1, 30, 140, 150, 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 1, 170), 0);
    expect(1, 30, 170, 170, 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 1, 10), 0);
    book(1, 1);
    expect(1, 31, 10, 170, 0);
    ck_assert_int_eq(ledger_add_busy(ledger, 1, 5), 0);
    ck_assert_int_eq(ledger_add_busy(ledger, 1, 6), 0);
    expect(1, 31, 10, 170, 11);
    ledger_give_back(ledger, 2, 7); /* nobody knows it */
    expect(2, 0, 0, 0, 0);
}
END_TEST

/* Grows as far as there are partitions, and finds each. */
START_TEST(test_many)
{
    for (uint64_t id = 1; id <= 20000; id++)
        book(id * 7, id);
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

/* Partitions that ended make room: table and file stay as small as what lives. */
START_TEST(test_room)
{
    struct stat st;
    book(1, 5); /* ended long ago, and still booked on */
    for (uint64_t id = 2; id <= 50000; id++) {
        first_alive = id > 12 ? id - 10 : 2;
        last_alive = id;
        book(id, id);
        if (id % 3)
            ledger_give_back(ledger, id, id);
        else if (id > 30)
            ledger_give_back(ledger, id - 27, id - 27);
        for (uint64_t live = first_alive; live <= id; live++)
            ck_assert_uint_eq(get(live).peak_bytes, live);
    }
    expect(1, 5, 0, 5, 0);
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_msg(st.st_size < 20000, "%lld", (long long)st.st_size);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ledger_give_back(ledger, 1, 5);
    reopen();
    expect(1, 0, 0, 0, 0);
    expect(49980, 0, 0, 0, 0);
    expect(50000, 0, 0, 50000, 0);
    /* An id in the place of another starts at nothing. */
    for (uint64_t id = 60000; id < 60300; id++) {
        last_alive = id;
        ck_assert_int_eq(ledger_reserve(ledger, id), 0);
        expect(id, 0, 0, 0, 0);
    }
}
END_TEST

/* Looking who ended is rare, however many live beside those who come and go. */
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

static void put(off_t at, const void *data, size_t size)
{
    int fd = open(file, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, data, size, at), (ssize_t)size);
    close(fd);
}

START_TEST(test_restart)
{
    book(1, 100);
    book(2, 200);
    ck_assert_int_eq(ledger_add_busy(ledger, 2, 9), 0);
    ck_assert_int_eq(ledger_set_driver(ledger, 2, 300), 0);
    first_alive = 2;
    reopen();
    first_alive = 1;
    expect(1, 0, 0, 0, 0);
    expect(2, 0, 0, 300, 9);
    put(20, "another boot", 12);
    reopen();
    expect(2, 0, 0, 0, 0);
    book(2, 5);
    reopen();
    expect(2, 0, 0, 5, 0);
    put(8, "\2\0\0\0", 4); /* another version */
    reopen();
    expect(2, 0, 0, 0, 0);
    book(2, 5);
    put(0, "nonsense", 8);
    reopen();
    expect(2, 0, 0, 0, 0);
    book(2, 5);
    ledger_free(ledger);
    ck_assert_int_eq(truncate(file, 30), 0);
    ck_assert_int_eq(ledger_new(directory, is_alive, &first_alive, &ledger), 0);
    expect(2, 0, 0, 0, 0);
    /* The same id twice, as no program leaves it: counted once. */
    book(7, 70);
    uint64_t twin[3] = {7, 71, 0};
    put(64 + 10 * 24, twin, sizeof(twin));
    reopen();
    ck_assert_uint_ge(get(7).peak_bytes, 70);
    uint32_t cursor = 0, count = 0;
    struct ledger_figures figures;
    uint64_t id;
    while (ledger_next(ledger, &cursor, &id, &figures))
        count++;
    ck_assert_uint_eq(count, 1);
}
END_TEST

static int open_files(void)
{
    int count = 0;
    for (int fd = 0; fd < 100; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

/* No file, or none that can grow: the figures live on in memory. */
START_TEST(test_no_file)
{
    char elsewhere[96];
    struct rlimit limit = {.rlim_cur = 10000, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    for (uint64_t id = 1; id <= 200; id++)
        book(id, id);
    /* No checks meanwhile: they are written to a file as well. */
    int before = open_files(), failed = setrlimit(RLIMIT_FSIZE, &limit);
    for (uint64_t id = 201; id <= 3000; id++) {
        failed += ledger_reserve(ledger, id) != 0;
        ledger_book(ledger, id, id);
    }
    limit.rlim_cur = RLIM_INFINITY;
    failed += setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(failed, 0);
    ck_assert_int_eq(open_files(), before - 1);
    for (uint64_t id = 1; id <= 3000; id++)
        expect(id, id, 0, id, 0);
    reopen(); /* what the file last knew */
    expect(5, 0, 0, 5, 0);
    ledger_free(ledger);
    ck_assert_int_eq(ledger_new("/nonexistent", is_alive, &first_alive, &ledger), 0);
    for (uint64_t id = 1; id <= 3000; id++)
        book(id, id);
    for (uint64_t id = 1; id <= 3000; id++)
        expect(id, id, 0, id, 0);
    /* A link in its place is not followed. */
    ledger_free(ledger);
    unlink(file);
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", directory);
    ck_assert_int_eq(symlink(elsewhere, file), 0);
    ck_assert_int_eq(ledger_new(directory, is_alive, &first_alive, &ledger), 0);
    ck_assert_int_ne(access(elsewhere, F_OK), 0);
}
END_TEST

/* Anything in any order, against arrays. */
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
            book(id, bytes);
            m->charged_bytes += bytes;
            break;
        case 1:
            bytes = bytes < m->charged_bytes ? bytes : m->charged_bytes;
            ledger_give_back(ledger, id, bytes);
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

int main(void)
{
    Suite *suite = suite_create("ledger");
    TCase *tcase = tcase_create("ledger");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_figures);
    tcase_add_test(tcase, test_many);
    tcase_add_test(tcase, test_room);
    tcase_add_test(tcase, test_looks);
    tcase_add_test(tcase, test_restart);
    tcase_add_test(tcase, test_no_file);
    tcase_add_test(tcase, test_model);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
