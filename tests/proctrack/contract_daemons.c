/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: restarts, two daemons, pids that are given out again, odd options and names. */
#include "contract.h"

START_TEST(found_after_a_restart)
{
    begin(_i);
    if (is_fake())
        return;
    pid_t first = start(ALICE), second = start(BOB), third = start(ALICE);
    join(1, first);
    join(UINT64_C(1) << 60, second);
    join(2, third);
    pid_t child = fork_of(first);
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    ck_assert_int_eq(help_freeze(2, true), 0);
    proctrack = proctrack_close(proctrack);
    pid_t late = fork_of(child);
    end(first, false);
    ck_assert_msg(open_again() == 0, "%s", why.text);
    ck_assert_str_eq(why.text, "");
    struct seen seen = each();
    ck_assert_int_eq(seen.count, 3);
    ck_assert_uint_eq(seen.ids[0], 1);
    ck_assert_uint_eq(seen.members[0], 2);
    ck_assert_uint_eq(seen.ids[1], 2);
    ck_assert(!seen.frozen[0] && seen.frozen[1] && !seen.frozen[2]);
    ck_assert_uint_eq(seen.ids[2], UINT64_C(1) << 60);
    MEMBERS(1, child, late);
    MEMBERS(2, third);
    MEMBERS(UINT64_C(1) << 60, second);
    ck_assert_int_eq(help_kill(UINT64_C(1) << 60), 0);
    EVENTUALLY(!alive(second));
    ck_assert_int_eq(help_forget(UINT64_C(1) << 60), 0);
}
END_TEST

START_TEST(two_do_not_see_each_other)
{
    char other_directory[PATH_MAX + 16];
    struct proctrack *other, *ours;
    begin(_i);
    snprintf(other_directory, sizeof(other_directory), "%s/other", help_directory);
    ck_assert_int_eq(mkdir(other_directory, 0700), 0);
    char other_instance[] = "0123456789abcdef";
    memcpy(other_instance, help_instance, 8); /* removed with the others */
    struct proctrack_options options = {
        .instance = other_instance, .state_dir = other_directory, .mode = modes[mode]};
    ck_assert_int_eq(proctrack_open(&options, &other, &why), 0);
    pid_t first = start(ALICE);
    join(1, first);
    ck_assert_int_eq(proctrack_each(other, NULL, NULL), 0);
    ck_assert_int_eq(proctrack_members(other, 1, NULL, NULL), 0);
    ck_assert_uint_eq(partition_in(other, first), 0);
    ck_assert_int_eq(proctrack_kill(other, 1, true), 0);
    ck_assert_int_eq(proctrack_forget(other, 1), 0);
    ck_assert(alive(first));
    ours = proctrack;
    proctrack = other;
    pid_t second = start(ALICE);
    join(1, second);
    if (!is_fake()) { /* after both joins it is in both */
        join(1, first);
        proctrack = ours;
        MEMBERS(1, first);
        proctrack = other;
        MEMBERS(1, first, second);
    }
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!alive(second));
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
    proctrack_close(other);
    proctrack = ours;
}
END_TEST

/* Recycled pids: records and callers mean the process, not the number. */
START_TEST(a_pid_is_given_out_again)
{
    struct procfs_process before;
    begin(_i);
    pid_t pid = start(0), child = start(0);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &before), 0);
    join(1, child);
    pid_t old = fork_of(child);
    join(1, pid);
    MEMBERS(1, child, pid, old);
    end(pid, false);
    end(old, false);
    if (is_fake()) {
        ck_assert_int_eq(proctrack_fake_reuse(proctrack, pid, 0), 0);
        ck_assert_int_eq(proctrack_fake_reuse(proctrack, old, 0), 0);
    } else {
        usleep(30000);
        if (puppet_start_as(pid) != pid || puppet_start_as(old) != old)
            return; /* not root */
    }
    ck_assert_int_eq(proctrack_join(proctrack, &SET(2), 0, &before, &why), -ESRCH);
    ck_assert_uint_eq(partition_in(proctrack, pid), 0);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
    MEMBERS(1, child);
    ck_assert_int_eq(help_signal(1, SIGUSR1, NULL), 0);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!alive(child));
    ck_assert(alive(pid) && alive(old));
    ck_assert_uint_eq(signals(pid, SIGUSR1) + signals(old, SIGUSR1), 0);
}
END_TEST

START_TEST(odd_options)
{
    static const char *const bad[] = {"", "0123456789abcde", "0123456789abcdefa",
                                      "0123456789ABCDEF", "../../../../../.."};
    struct proctrack_options options = {.state_dir = help_directory};
    options.mode = modes[_i];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        options.instance = bad[i];
        ck_assert_int_eq(proctrack_open(&options, &proctrack, &why), -EINVAL);
        ck_assert_uint_gt(strlen(why.text), 20);
    }
    options.instance = help_instance;
    options.mode = "magic";
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why.text, "magic"));
}
END_TEST

/* Users choose the names of their processes. */
START_TEST(odd_names)
{
    static const char *const names[] = {"a) b", ") R 1 (", "x\nUid:\t0\t0\t0", "(((", ")"};
    struct procfs_process before, after;
    begin(_i);
    if (is_fake())
        return;
    pid_t pid = start(ALICE);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &before), 0);
    join(1, pid);
    pid_t child = fork_of(pid);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert_int_eq(puppet_name(pid, names[i]), 0);
        ck_assert_int_eq(puppet_name(child, names[i]), 0);
        ck_assert_int_eq(proctrack_look(proctrack, pid, &after), 0);
        ck_assert_uint_eq(after.start, before.start);
        ck_assert_uint_eq(after.uid, before.uid);
        ck_assert_uint_eq(after.suid, before.suid);
        ck_assert_uint_eq(partition_in(proctrack, child), 1);
    }
    MEMBERS(1, pid, child);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!alive(pid) && !alive(child));
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {found_after_a_restart, two_do_not_see_each_other,
                                  a_pid_is_given_out_again, odd_options, odd_names};
    return contract_case(tests, ARRAY_COUNT(tests));
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
