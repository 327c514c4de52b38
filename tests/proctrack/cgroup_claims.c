/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups of others that belong to a partition: what they hold, and what a restart knows of them.
 */
#include "core/proctrack/cgroup.h"
#include "help.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void setup(void)
{
    help_begin_mode("cgroup");
}

static int claim(uint64_t id, const char *path)
{
    char full[2 * PATH_MAX];
    snprintf(full, sizeof(full), "%s/%s", help_cgroup(), path);
    int r;
    do
        r = proctrack_claim(proctrack, id, full, &why);
    while (r == -EINPROGRESS);
    return r;
}

static pid_t start_in(const char *path)
{
    pid_t pid = puppet_start(ALICE);
    put(path, pid);
    return pid;
}

static bool is_in(pid_t pid, uint64_t id)
{
    struct proctrack_set set;
    proctrack_find(proctrack, pid, &set);
    return proctrack_set_has(&set, id);
}

static void reopen(void)
{
    proctrack = proctrack_close(proctrack);
    help_open();
}

START_TEST(all_in_it_belong)
{
    char box[PATH_MAX], inner[PATH_MAX];
    uint32_t count;
    help_open();
    strcpy(box, help_cgroup_make("box"));
    strcpy(inner, help_cgroup_make("box/inner"));
    pid_t here = start_in(box), below = start_in(inner);
    ck_assert_int_eq(claim(3, box), 0);
    ck_assert_uint_eq(partition_in(proctrack, here), 3);
    ck_assert_uint_eq(partition_in(proctrack, below), 3);
    pid_t child = puppet_fork(below);
    ck_assert_int_eq(members(3), 3);
    ck_assert_int_eq(proctrack_signal(proctrack, 3, SIGUSR1, false, &count), 0);
    ck_assert_uint_eq(count, 3);
    EVENTUALLY(puppet_signals(child, SIGUSR1) == 1);
    ck_assert_int_eq(proctrack_forget(proctrack, 3), -EBUSY);
    help_kill(3);
    EVENTUALLY(!puppet_alive(here) && !puppet_alive(below) && !puppet_alive(child));
    EVENTUALLY(proctrack_forget(proctrack, 3) == 0);
    ck_assert_int_eq(proctrack_claims(proctrack, 3, NULL, NULL), 0);
    pid_t later = start_in(box);
    ck_assert_uint_eq(partition_in(proctrack, later), 0);
    puppet_end(later, false);
}
END_TEST

START_TEST(joins_and_claims)
{
    char box[PATH_MAX];
    help_open();
    strcpy(box, help_cgroup_make("box"));
    pid_t pid = start_in(box);
    ck_assert_int_eq(claim(1, box), 0);
    ck_assert_int_eq(join_set(SET(1, 2), pid), 0);
    ck_assert(is_in(pid, 1) && is_in(pid, 2));
    ck_assert_int_eq(claim(4, box), 0); /* takes it over, but not what joined 1 */
    ck_assert(is_in(pid, 1) && is_in(pid, 2) && is_in(pid, 4));
    ck_assert_int_eq(proctrack_claims(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(members(4), 1);
    reopen();
    ck_assert(is_in(pid, 1) && is_in(pid, 2) && is_in(pid, 4));
    end_all(4);
    ck_assert(!puppet_alive(pid));
    EVENTUALLY(help_forget(1) == 0 && help_forget(2) == 0);
}
END_TEST

struct found {
    uint64_t ids[8];
    size_t count;
};

static void find(void *context, uint64_t id, uint32_t members, bool frozen)
{
    struct found *found = context;
    ck_assert_uint_lt(found->count, 8);
    ck_assert(!frozen);
    found->ids[found->count++] = id;
    (void)members;
}

START_TEST(each_in_order)
{
    char box[PATH_MAX], box2[PATH_MAX];
    struct found found = {.count = 0};
    help_open();
    strcpy(box, help_cgroup_make("box"));
    strcpy(box2, help_cgroup_make("box2"));
    pid_t pid = start_in("");
    join(5, pid);
    ck_assert_int_eq(claim(9, box), 0);
    ck_assert_int_eq(claim(2, box2), 0);
    reopen();
    ck_assert_int_eq(proctrack_each(proctrack, find, &found), 3);
    ck_assert_uint_eq(found.ids[0], 2);
    ck_assert_uint_eq(found.ids[1], 5);
    ck_assert_uint_eq(found.ids[2], 9);
    end_all(5);
    ck_assert_int_eq(proctrack_forget(proctrack, 2), 0);
    ck_assert_int_eq(proctrack_forget(proctrack, 9), 0);
    reopen();
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
}
END_TEST

START_TEST(another_boot_knows_none)
{
    char box[PATH_MAX];
    help_open();
    strcpy(box, help_cgroup_make("box"));
    ck_assert_int_eq(claim(1, box), 0);
    help_options.boot_id = "00000000-0000-0000-0000-000000000000";
    reopen();
    ck_assert_int_eq(proctrack_claims(proctrack, 1, NULL, NULL), 0);
}
END_TEST

START_TEST(what_cannot_be_recorded)
{
    char box[PATH_MAX], file[PATH_MAX + 16];
    help_open();
    strcpy(box, help_cgroup_make("box"));
    ck_assert_int_eq(claim(1, box), 0);
    snprintf(file, sizeof(file), "%s/claims.new", help_directory);
    ck_assert_int_eq(symlink("/dev/full", file), 0);
    ck_assert_int_lt(claim(2, box), 0);
    ck_assert_int_eq(proctrack_claims(proctrack, 2, NULL, NULL), 0);
    ck_assert_int_eq(proctrack_claims(proctrack, 1, NULL, NULL), 1);
    ck_assert_int_eq(unlink(file), 0);
    reopen();
    ck_assert_int_eq(proctrack_claims(proctrack, 1, NULL, NULL), 1);
}
END_TEST

START_TEST(there_is_an_end)
{
    char name[32], box[PATH_MAX];
    help_open();
    for (int i = 0; i <= 16; i++) {
        snprintf(name, sizeof(name), "box%d", i);
        strcpy(box, help_cgroup_make(name));
        ck_assert_int_eq(claim(1, box), i < 16 ? 0 : -E2BIG);
    }
    ck_assert_int_eq(claim(2, box), 0);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {all_in_it_belong,        joins_and_claims,
                                  each_in_order,           another_boot_knows_none,
                                  what_cannot_be_recorded, there_is_an_end};
    return help_cgroup_case("cgroup claims", setup, tests, sizeof(tests) / sizeof(tests[0]));
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
