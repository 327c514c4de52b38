/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the store port. Every test runs against every kind of store; promises
 * about files are in sqlite.c and disk.c.
 */
#ifndef CHRONOS_TESTS_STORE_CONTRACT_H
#define CHRONOS_TESTS_STORE_CONTRACT_H

#include "fixture.h"
#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct store_kind *const kinds[] = {&store_sqlite, &store_memory};
#define KIND_COUNT 2

static const struct store_clock boot2 = {"boot-2", 1001 * DAY_NS, 0};

/* Close, open and load a store with a file; only load a store in memory. */
static inline void reopen_at(int kind, const struct store_clock *clock, size_t max_history)
{
    if (kinds[kind] != &store_memory)
        store = store_close(store);
    if (!store)
        ck_assert_msg(kinds[kind]->open(directory, true, &store, &why) == 0, "%s", why.text);
    ck_assert_msg(kept_load(&kept, store, clock, max_history, &why) == 0, "%s", why.text);
}

static inline void reopen(int kind)
{
    reopen_at(kind, &boot, 1000);
}

static inline void start(int kind)
{
    reopen(kind);
    give_devices(3, &boot);
}

static inline void commit_well(void)
{
    ck_assert_msg(commit() == 0, "%s", why.text);
}

/* One committed partition. */
static inline struct partition create_one(uint64_t seq, uint64_t id)
{
    struct partition p = partition_make(id, 0, HOUR_NS);
    attempt_add(&attempt, seq, EVENT_CREATED, &p, "created");
    commit_well();
    return p;
}

/* End partition 1 `end_ns` after its creation, with this retention. */
static inline void short_life(uint64_t seq, uint64_t id, int64_t end_ns, int64_t retention_ns)
{
    struct partition p = partition_make(id, end_ns - 1, end_ns);
    attempt_add(&attempt, seq, EVENT_CREATED, &p, NULL);
    attempt_add(&attempt, seq + 1, EVENT_RELEASED, &p, NULL);
    attempt.batch.retention_ns = retention_ns;
    commit_well();
}

static inline TCase *contract_case(const TTest *const *tests, size_t count)
{
    TCase *all = check_case("store-contract", fixture_setup, fixture_teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(all, tests[i], 0, KIND_COUNT);
    return all;
}

#endif
