/* SPDX-License-Identifier: Apache-2.0 */
/* Who can open device nodes, and in which order a list that is too short takes them. */
#include "tests/check.h"

#include "core/host/holders.h"

#include <stdlib.h>

static struct allocations allocations;
static struct holders holders;

static void setup(void)
{
    allocations = (struct allocations){.avl = {0}};
    holders = (struct holders){.holder = NULL};
}

static void teardown(void)
{
    const struct allocation *left;
    while ((left = allocations_after(&allocations, 0)))
        allocations_drop(&allocations, left->id);
    free(holders.holder);
}

static void hold(uint64_t id, uint32_t uid, uint32_t account)
{
    const struct partition partition = {
        .id = id, .uid = uid, .gid = 77, .mode = 0775, .share_count = 1};
    ck_assert_int_eq(allocations_put(&allocations, &partition, account), 0);
}

static void let(uint64_t id, uint32_t uid, bool in)
{
    ck_assert_int_eq(allocations_share(&allocations, id, uid, in), 0);
}

/* Return the place of a user, from 0; -1: is not among the holders. */
static int place_of(uint32_t uid)
{
    int found = -1;
    for (size_t i = 0; i < holders.count; i++)
        if (!holders.holder[i].is_group && holders.holder[i].id == uid) {
            ck_assert_int_eq(found, -1);
            found = (int)i;
        }
    return found;
}

START_TEST(guests_are_holders)
{
    hold(1, 10, 10);
    let(1, 20, true);
    let(1, 30, true);
    let(1, 30, false);
    let(2, 40, true); /* there is no such partition (any more) */
    ck_assert_int_eq(holders_find(&holders, &allocations), 0);
    ck_assert_int_eq(place_of(10), 0);
    ck_assert_int_ge(place_of(20), 1);
    ck_assert_int_eq(place_of(30), -1);
    ck_assert_int_eq(place_of(40), -1);
    hold(1, 10, 10); /* any change of it keeps them */
    ck_assert_int_eq(holders_find(&holders, &allocations), 0);
    ck_assert_int_ge(place_of(20), 1);
    ck_assert(allocations_drop(&allocations, 1));
    ck_assert_int_eq(holders_find(&holders, &allocations), 0);
    ck_assert_uint_eq(holders.count, 0);
}
END_TEST

/* However many guests an account has, with whatever older partitions: an account's first uid comes
 * before them, and a guest who has a partition is in by that one. */
START_TEST(guests_displace_no_account)
{
    for (uint64_t id = 1; id <= 40; id++) {
        hold(id, 10, 10);
        for (uint32_t n = 1; n < GUESTS_MAX; n++)
            let(id, 1000 + 100 * (uint32_t)id + n, true);
        let(id, 90000, true);
    }
    hold(41, 11, 10); /* another uid of theirs comes before their guests */
    hold(50, 90000, 90000);
    hold(51, 30, 30);
    ck_assert_int_eq(holders_find(&holders, &allocations), 0);
    ck_assert_uint_eq(holders.count, 40 * (GUESTS_MAX - 1) + 4 + 1); /* and a group */
    ck_assert_int_le(place_of(10), 3);
    ck_assert_int_le(place_of(30), 3);
    ck_assert_int_le(place_of(90000), 3);
    ck_assert_int_eq(place_of(11), 4);
}
END_TEST

/* The owner of several devices may open the nodes of each, and only of these. */
START_TEST(each_device_has_its_holders)
{
    const struct partition partition = {.id = 5,
                                        .uid = 10,
                                        .mode = 0755,
                                        .share_count = 3,
                                        .shares = {{.device = 1}, {.device = 4}, {.device = 6}}};
    uint32_t devices = 0;

    ck_assert_int_eq(allocations_put(&allocations, &partition, 10), 0);
    let(5, 20, true);
    ck_assert_int_eq(holders_find(&holders, &allocations), 0);
    ck_assert_uint_eq(holders.count, 6);
    for (size_t i = 0; i < holders.count; i++) {
        devices |= 1U << holders.holder[i].device;
        ck_assert_uint_eq(holders.holder[i].turn, holders.holder[i].id == 10 ? 0 : 1);
    }
    ck_assert_uint_eq(devices, 1U << 1 | 1U << 4 | 1U << 6);
    ck_assert_int_eq(allocations_index(allocations_find(&allocations, 5), 4), 1);
    ck_assert_int_eq(allocations_index(allocations_find(&allocations, 5), 0), -1);
    ck_assert_uint_eq(allocations_key(allocations_find(&allocations, 5), 6), share_key(5, 3, 2));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {guests_are_holders, guests_displace_no_account,
                                  each_device_has_its_holders};
    return check_run_tests("holders", setup, teardown, tests, ARRAY_COUNT(tests));
}
