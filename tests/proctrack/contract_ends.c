/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: signals, freezes, ends. */
#include "contract.h"

START_TEST(signals_once)
{
    pid_t pids[6];
    uint32_t count = 0;
    begin(_i);
    pid_t other = start(ALICE);
    join(2, other);
    pids[0] = start(ALICE);
    join(1, pids[0]);
    for (int i = 1; i < 6; i++)
        pids[i] = fork_of(pids[i / 2]);
    end(pids[3], true); /* a leaf of the tree of processes */
    ck_assert_int_eq(help_signal(1, SIGUSR1, &count), 0);
    ck_assert_uint_eq(count, 5);
    for (int i = 0; i < 6; i++) {
        if (i != 3)
            EVENTUALLY(signals(pids[i], SIGUSR1) == 1);
    }
    ck_assert_int_eq(help_signal(1, SIGTERM, NULL), 0);
    EVENTUALLY(signals(pids[5], SIGTERM) == 1);
    for (int i = 0; i < 6; i++)
        ck_assert_uint_eq(signals(pids[i], SIGUSR1), i != 3);
    ck_assert_uint_eq(signals(other, SIGUSR1) + signals(other, SIGTERM), 0);
    ck_assert_int_eq(each().frozen[0], false);
    const int bad[] = {0, -1, SIGKILL, SIGSTOP, 65, 1000};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(help_signal(1, bad[i], &count), -EINVAL);
}
END_TEST

START_TEST(kills_all)
{
    pid_t pids[8];
    begin(_i);
    pid_t other = start(ALICE);
    join(2, other);
    for (int i = 0; i < 2; i++) {
        pids[i] = start(i == 0 ? ALICE : BOB);
        join(1, pids[i]);
    }
    for (int i = 2; i < 8; i++)
        pids[i] = fork_of(pids[i - 2]);
    ck_assert_int_eq(help_kill(1), 0);
    for (int i = 0; i < 8; i++)
        EVENTUALLY(!alive(pids[i]));
    NO_MEMBERS(1); /* though two have not been waited for */
    ck_assert_uint_eq(partition_in(proctrack, pids[0]), 0);
    ck_assert(alive(other));
    MEMBERS(2, other);
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(each().count, 1);
    ck_assert_int_eq(help_kill(1), 0);
    ck_assert_int_eq(help_forget(1), 0);
}
END_TEST

START_TEST(freezes_and_thaws)
{
    uint32_t count = 0;
    begin(_i);
    pid_t first = start(ALICE), child, second = start(ALICE), third = start(ALICE);
    join(1, first);
    child = fork_of(first);
    ck_assert_int_eq(help_freeze(1, true), 0);
    ck_assert_int_eq(help_freeze(1, true), 0);
    join(1, second);
    ck_assert_int_eq(help_signal(1, SIGUSR1, &count), 0);
    ck_assert_uint_eq(count, 3);
    if (!is_fake())
        usleep(50000);
    ck_assert_uint_eq(signals(first, SIGUSR1), 0);
    ck_assert_uint_eq(signals(child, SIGUSR1), 0);
    ck_assert_uint_eq(signals(second, SIGUSR1), 0);
    ck_assert(each().frozen[0]);
    MEMBERS(1, first, child, second);
    join(2, second); /* leaving thaws */
    EVENTUALLY(signals(second, SIGUSR1) == 1);
    ck_assert_uint_eq(signals(first, SIGUSR1), 0);
    ck_assert_int_eq(help_freeze(1, false), 0);
    EVENTUALLY(signals(first, SIGUSR1) == 1 && signals(child, SIGUSR1) == 1);
    ck_assert(!each().frozen[0]);
    join(1, third);
    ck_assert_int_eq(help_signal(1, SIGTERM, &count), 0);
    EVENTUALLY(signals(third, SIGTERM) == 1);
}
END_TEST

START_TEST(kills_the_frozen_and_the_stopped)
{
    begin(_i);
    pid_t stopped = start(ALICE), frozen = start(ALICE);
    join(1, stopped);
    join(2, frozen);
    if (!is_fake()) {
        ck_assert_int_eq(kill(stopped, SIGSTOP), 0);
        EVENTUALLY(puppet_state(stopped) == 'T');
    }
    ck_assert_int_eq(help_freeze(2, true), 0);
    ck_assert_int_eq(help_kill(1), 0);
    ck_assert_int_eq(help_kill(2), 0);
    EVENTUALLY(!alive(stopped) && !alive(frozen));
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(help_forget(2), 0);
}
END_TEST

START_TEST(forgets)
{
    begin(_i);
    pid_t first = start(ALICE), second = start(ALICE);
    join(1, first);
    join(2, second);
    pid_t child = fork_of(first);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    MEMBERS(1, first, child);
    end(child, false);
    end(first, true);
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
    struct seen seen = each();
    ck_assert_int_eq(seen.count, 1);
    ck_assert_uint_eq(seen.ids[0], 2);
    MEMBERS(2, second);
    ck_assert_uint_eq(partition_in(proctrack, first), 0);
    pid_t third = start(ALICE); /* and the id can be used again */
    join(1, third);
    MEMBERS(1, third);
}
END_TEST

/* A member of two runs while neither is frozen, and gets each signal once. */
START_TEST(frozen_for_two)
{
    begin(_i);
    pid_t pid = start(ALICE);
    ck_assert_int_eq(help_freeze(1, true), 0);
    ck_assert_int_eq(join_set(SET(1, 2), pid), 0);
    ck_assert_int_eq(help_freeze(1, true), 0);
    ck_assert_int_eq(help_signal(2, SIGUSR1, NULL), 0);
    if (!is_fake())
        usleep(50000);
    ck_assert_uint_eq(signals(pid, SIGUSR1), 0);
    if (mode != 1) { /* process-tree: the last call counts */
        ck_assert_int_eq(help_freeze(2, true), 0);
        ck_assert_int_eq(help_freeze(1, false), 0);
        if (!is_fake())
            usleep(50000);
        ck_assert_uint_eq(signals(pid, SIGUSR1), 0);
        ck_assert_int_eq(help_freeze(2, false), 0);
    } else {
        ck_assert_int_eq(help_freeze(1, false), 0);
    }
    EVENTUALLY(signals(pid, SIGUSR1) == 1);
}
END_TEST

/* A process that hangs in the kernel does not block the tracker, and dies when it can. */
START_TEST(stuck_in_the_kernel)
{
    char path[PATH_MAX + 16];
    begin(_i);
    if (is_fake() || geteuid() != 0)
        return;
    pid_t stuck = start(0), free_one = start(0);
    snprintf(path, sizeof(path), "%s/stuck", help_directory);
    int fd = help_stuck(path); /* after the forks, which inherit open descriptors */
    if (fd < 0)
        return;
    join(1, stuck);
    join(1, free_one);
    puppet_hang(stuck, path);
    help_stuck_wait(fd);
    bool is_cgroup = strcmp(proctrack_word(proctrack), "cgroup") == 0;
    for (int i = 0; i < 1000; i++) { /* each would take a second if it waited for the process */
        ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR1, false, NULL),
                         is_cgroup ? -EAGAIN : 0);
        ck_assert_int_eq(proctrack_freeze(proctrack, 2, true), 0);
    }
    ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR2, true, NULL), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(proctrack_freeze(proctrack, 1, true), -EBUSY);
    ck_assert_int_eq(help_freeze(1, false), 0);
    ck_assert_int_eq(proctrack_kill(proctrack, 1, false), is_cgroup ? 0 : -EAGAIN);
    ck_assert_int_eq(proctrack_kill(proctrack, 1, true), 0);
    EVENTUALLY(!alive(free_one));
    MEMBERS(1, stuck);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    close(fd);
    EVENTUALLY(!alive(stuck));
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
}
END_TEST

/* Two hundred processes that keep forking: none survives. */
START_TEST(fork_bomb)
{
    struct told told = {.count = 0};
    begin(_i);
    if (is_fake())
        return;
    int before = puppet_count();
    pid_t pid = start(ALICE);
    join(1, pid);
    puppet_bomb(pid, !getenv("CHRONOS_TEST_LIGHT") ? 200 : 50);
    /* It spreads while we look, so one look can find few of them. */
    EVENTUALLY((proctrack_scan(proctrack), told.count = 0,
                proctrack_members(proctrack, 1, tell, &told) > 30));
    EVENTUALLY((help_kill(1), proctrack_forget(proctrack, 1) == 0));
    ck_assert(!alive(pid));
    EVENTUALLY(puppet_count() == before); /* a child of the tracker lives a little longer */
}
END_TEST

START_TEST(fake_sticks)
{
    begin(0);
    pid_t pid = start(ALICE);
    join(1, pid);
    proctrack_fake_stick(proctrack, pid, true);
    ck_assert_int_eq(help_kill(1), 0);
    ck_assert(alive(pid));
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    ck_assert_int_eq(help_freeze(1, true), -EBUSY);
    ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR1, false, NULL), -EAGAIN);
    ck_assert(proctrack_fake_frozen(proctrack, pid));
    proctrack_fake_stick(proctrack, pid, false);
    ck_assert(!alive(pid));
    ck_assert_int_eq(help_forget(1), 0);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {
        signals_once, kills_all,      freezes_and_thaws,   kills_the_frozen_and_the_stopped,
        forgets,      frozen_for_two, stuck_in_the_kernel, fork_bomb};
    TCase *all = contract_case(tests, ARRAY_COUNT(tests));
    tcase_add_test(all, fake_sticks);
    return all;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
