/* SPDX-License-Identifier: Apache-2.0 */
/* The contract: which processes belong. */
#include "contract.h"

START_TEST(nothing_yet)
{
    uint32_t count = 7;
    begin(_i);
    ck_assert_str_eq(why.text, "");
    ck_assert_str_eq(proctrack_word(proctrack), modes[_i]);
    ck_assert_str_eq(proctrack_why(proctrack), "");
    for (uint64_t id = 0; id < 2; id++) { /* 0 is not a partition */
        NO_MEMBERS(id);
        ck_assert_int_eq(help_signal(id, SIGTERM, &count), 0);
        ck_assert_uint_eq(count, 0);
        ck_assert_int_eq(help_kill(id), 0);
        ck_assert_int_eq(help_freeze(id, true), 0);
        ck_assert_int_eq(help_freeze(id, false), 0);
        ck_assert_int_eq(help_forget(id), 0);
    }
    ck_assert_uint_eq(partition_in(proctrack, start(0)), 0);
    ck_assert_uint_eq(partition_in(proctrack, getpid()), 0);
    ck_assert_uint_eq(partition_in(proctrack, 0), 0);
    ck_assert_uint_eq(partition_in(proctrack, 999999), 0);
    ck_assert_int_eq(each().count, 0);
    ck_assert_ptr_null(proctrack_close(NULL));
}
END_TEST

START_TEST(looks)
{
    struct procfs_process a, b;
    begin(_i);
    uid_t uid = is_fake() || geteuid() == 0 ? ALICE : geteuid();
    pid_t pid = start(ALICE);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &a), 0);
    ck_assert_int_eq(a.pid, pid);
    ck_assert_uint_eq(a.uid, uid);
    ck_assert_uint_eq(a.euid, uid);
    ck_assert_uint_eq(a.suid, uid);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &b), 0);
    ck_assert_uint_eq(a.start, b.start);
    ck_assert_int_eq(proctrack_leader(proctrack, pid), pid);
    end(pid, true);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &a), -ESRCH);
    ck_assert_int_eq(proctrack_look(proctrack, 999999, &a), -ESRCH);
    ck_assert_int_eq(proctrack_leader(proctrack, 999999), -ESRCH);
    ck_assert_int_eq(proctrack_look(proctrack, 0, &a), -EINVAL);
    ck_assert_int_eq(proctrack_look(proctrack, -1, &a), -EINVAL);
    ck_assert_int_eq(proctrack_leader(proctrack, 0), -ESRCH);
}
END_TEST

START_TEST(children_belong)
{
    begin(_i);
    pid_t parent = start(ALICE), other = start(ALICE), before = fork_of(parent);
    if (!is_fake())
        usleep(30000); /* the clock of processes ticks every 10 ms */
    join(1, parent);
    pid_t child = fork_of(parent), grandchild = fork_of(child);
    ck_assert_uint_eq(partition_in(proctrack, grandchild), 1); /* without a scan */
    ck_assert_uint_eq(partition_in(proctrack, before), 0);
    ck_assert_uint_eq(partition_in(proctrack, fork_of(before)), 0);
    ck_assert_uint_eq(partition_in(proctrack, other), 0);
    MEMBERS(1, parent, child, grandchild);
    end(child, false); /* an orphan stays */
    MEMBERS(1, parent, grandchild);
    end(parent, false);
    MEMBERS(1, grandchild);
    pid_t later = fork_of(grandchild);
    MEMBERS(1, grandchild, later);
    NO_MEMBERS(2);
    NO_MEMBERS(0);
}
END_TEST

START_TEST(joins_again_and_moves)
{
    begin(_i);
    pid_t parent = start(ALICE), other = start(BOB);
    join(1, parent);
    join(1, parent);
    pid_t old = fork_of(parent), older = fork_of(old);
    join(2, other);
    if (!is_fake())
        usleep(30000);
    join(2, parent);
    pid_t fresh = fork_of(parent);
    MEMBERS(1, old, older);
    MEMBERS(2, parent, other, fresh);
    join(1, older); /* a member through its parent joins explicitly */
    pid_t youngest = fork_of(older);
    MEMBERS(1, old, older, youngest);
    struct seen seen = each();
    ck_assert_int_eq(seen.count, 2);
    ck_assert_uint_eq(seen.ids[0], 1);
    ck_assert_uint_eq(seen.members[0], 3);
    ck_assert_uint_eq(seen.ids[1], 2);
    ck_assert_uint_eq(seen.members[1], 3);
}
END_TEST

static int leave(pid_t pid, bool all)
{
    struct procfs_process process;
    int r = proctrack_look(proctrack, pid, &process);
    if (r)
        return r;
    EVENTUALLY((r = proctrack_leave(proctrack, 0, &process, all, &why)) != -EINPROGRESS);
    return r;
}

START_TEST(leaves_with_its_children)
{
    struct procfs_process wrong;
    begin(_i);
    pid_t shell = start(ALICE), other = start(ALICE);
    join(1, shell);
    join(2, other);
    pid_t program = fork_of(shell), worker = fork_of(program), deep = fork_of(worker);
    pid_t sibling = fork_of(shell);
    MEMBERS(1, shell, program, worker, deep, sibling);
    ck_assert_int_eq(leave(program, false), 0);
    MEMBERS(1, shell, sibling);
    ck_assert_uint_eq(partition_in(proctrack, deep), 0);
    MEMBERS(1, shell, sibling); /* also later, though their parent is a member */
    pid_t later = fork_of(worker);
    ck_assert_uint_eq(partition_in(proctrack, later), 0);
    MEMBERS(1, shell, sibling, fork_of(shell));
    ck_assert_int_eq(leave(program, false), 0); /* it is in none */
    ck_assert_int_eq(proctrack_look(proctrack, program, &wrong), 0);
    wrong.suid++;
    ck_assert_int_eq(proctrack_leave(proctrack, 0, &wrong, false, &why), -EAGAIN * !is_fake());
    wrong.start++;
    ck_assert_int_eq(proctrack_leave(proctrack, 0, &wrong, false, &why), -ESRCH);
    if (!is_fake())
        usleep(30000); /* children born before, in the same tick, would belong */
    join(2, worker);   /* and comes back */
    MEMBERS(2, other, worker);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(proctrack_members(proctrack, 1, NULL, NULL) == 0);
    ck_assert(alive(program) && alive(deep) && alive(later));
    NO_MEMBERS(1);
    ck_assert_uint_eq(each().ids[each().count - 1], 2); /* those outside are no partition */
}
END_TEST

START_TEST(leaves_those_of_others)
{
    begin(_i);
    pid_t mine = start(ALICE);
    join(1, mine);
    pid_t root = is_fake() ? proctrack_fake_start(proctrack, mine, 0) : fork_of(start(0));
    pid_t inner = is_fake() ? proctrack_fake_start(proctrack, mine, ALICE) : fork_of(mine);
    if (is_fake()) {
        ck_assert_int_eq(leave(mine, false), 0);
        MEMBERS(1, root);
        ck_assert_int_eq(leave(root, true), 0);
    } else if (geteuid() == 0) {
        pid_t top = start(0);
        join(2, top);
        pid_t user = fork_of(top), below = fork_of(user);
        ck_assert_int_eq(puppet_setuid(user, ALICE), 0);
        ck_assert_int_eq(leave(user, false), 0); /* root's, below alice's, stays */
        MEMBERS(2, top, below);
        ck_assert_int_eq(leave(below, true), 0);
        ck_assert_int_eq(leave(top, true), 0);
        NO_MEMBERS(2);
        MEMBERS(1, mine, inner);
    }
}
END_TEST

START_TEST(refused_joins)
{
    struct procfs_process process, wrong;
    supervisor = puppet_start(geteuid());
    begin(_i);
    pid_t pid = start(ALICE);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    wrong = process;
    wrong.start++;
    ck_assert_int_eq(proctrack_join(proctrack, &SET(1), 0, &wrong, &why), -ESRCH);
    wrong = process;
    wrong.suid++;
    ck_assert_int_eq(proctrack_join(proctrack, &SET(1), 0, &wrong, &why), -EAGAIN);
    ck_assert_int_eq(proctrack_join(proctrack, &SET(0), 0, &process, &why), -EINVAL);
    const pid_t never[] = {1, getpid(), supervisor};
    for (size_t i = 0; i < 3; i++) {
        wrong = process;
        wrong.pid = never[i];
        why.text[0] = '\0';
        ck_assert_int_eq(proctrack_join(proctrack, &SET(1), 0, &wrong, &why), -EPERM);
        ck_assert_uint_gt(strlen(why.text), 30);
    }
    NO_MEMBERS(1);
    end(pid, true);
    ck_assert_int_eq(proctrack_join(proctrack, &SET(1), 0, &process, &why), -ESRCH);
    if (!is_fake())
        waitpid(pid, NULL, 0);
    ck_assert_int_eq(proctrack_join(proctrack, &SET(1), 0, &process, &why), -ESRCH);
    NO_MEMBERS(1);
    ck_assert_int_eq(each().count, 0); /* the attempts left no trace */
    supervisor = 0;
}
END_TEST

/* Asserts that exactly these are the partitions of a process, and that each lists it. */
static void is_in(pid_t pid, struct proctrack_set set)
{
    struct proctrack_set found;
    proctrack_scan(proctrack);
    proctrack_find(proctrack, pid, &found);
    ck_assert(proctrack_set_is_equal(&found, &set));
    for (uint64_t id = 1; id < 10; id++) {
        struct told told = {.count = 0};
        bool listed = false;
        proctrack_members(proctrack, id, tell, &told);
        for (int i = 0; i < told.count; i++)
            listed = listed || told.pids[i] == pid;
        ck_assert_msg(listed == proctrack_set_has(&set, id), "%d in %d", pid, (int)id);
    }
}

START_TEST(several_at_a_time)
{
    struct procfs_process process;
    uint32_t count = 0;
    begin(_i);
    pid_t both = start(ALICE), before = fork_of(both), one = start(ALICE);
    if (!is_fake())
        usleep(30000); /* the clock of processes ticks every 10 ms */
    ck_assert_int_eq(join_set(SET(1, 2), both), 0);
    pid_t child = fork_of(both);
    join(1, one);
    is_in(both, SET(1, 2));
    is_in(child, SET(1, 2));
    is_in(before, SET(0));
    is_in(one, SET(1));
    ck_assert_int_eq(help_signal(2, SIGUSR1, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(help_signal(1, SIGTERM, &count), 0);
    ck_assert_uint_eq(count, 3);
    EVENTUALLY(signals(both, SIGUSR1) == 1 && signals(child, SIGUSR1) == 1);
    EVENTUALLY(signals(both, SIGTERM) == 1 && signals(one, SIGTERM) == 1);
    ck_assert_uint_eq(signals(one, SIGUSR1), 0);
    ck_assert_int_eq(proctrack_forget(proctrack, 2), -EBUSY);
    /* the child takes another one: its parent stays where it was */
    ck_assert_int_eq(join_set(SET(2, 3), child), 0);
    is_in(child, SET(2, 3));
    is_in(both, SET(1, 2));
    if (!is_fake()) {
        proctrack_close(proctrack);
        ck_assert_int_eq(open_again(), 0);
        is_in(child, SET(2, 3));
        is_in(both, SET(1, 2));
        is_in(one, SET(1));
        ck_assert_int_eq(each().count, 3);
    }
    ck_assert_int_eq(help_kill(3), 0);
    EVENTUALLY(!alive(child));
    ck_assert(alive(both) && alive(one));
    EVENTUALLY(proctrack_forget(proctrack, 3) == 0);
    /* back to one, and out */
    join(2, both);
    is_in(both, SET(2));
    ck_assert_int_eq(join_set(SET(1, 2, 3, 4, 5, 6, 7, 8), both), 0);
    is_in(both, SET(1, 2, 3, 4, 5, 6, 7, 8));
    ck_assert_int_eq(proctrack_look(proctrack, both, &process), 0);
    while (proctrack_leave(proctrack, 0, &process, true, &why) == -EINPROGRESS)
        usleep(1000);
    is_in(both, SET(0));
    is_in(one, SET(1));
    for (uint64_t id = 2; id < 9; id++)
        EVENTUALLY(proctrack_forget(proctrack, id) == 0);
    ck_assert_int_eq(each().count, 1);
}
END_TEST

START_TEST(sets)
{
    struct proctrack_set set = {{0}};
    begin(0);
    for (uint64_t id = PROCTRACK_SET_MAX; id > 0; id--)
        ck_assert_int_eq(proctrack_set_add(&set, id * 10), 0);
    for (size_t i = 0; i < PROCTRACK_SET_MAX; i++)
        ck_assert_uint_eq(set.ids[i], (i + 1) * 10);
    ck_assert_int_eq(proctrack_set_add(&set, 20), 0);
    ck_assert_int_eq(proctrack_set_add(&set, 5), -E2BIG);
    ck_assert(proctrack_set_has(&set, 80) && !proctrack_set_has(&set, 5));
}
END_TEST

START_TEST(hundreds)
{
    struct told told = {.count = 0};
    begin(_i);
    pid_t last = start(ALICE);
    join(3, last);
    for (int i = 1; i < 300; i++) {
        pid_t child = fork_of(last);
        if (i % 3 == 0)
            last = child;
    }
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    ck_assert_int_eq(proctrack_members(proctrack, 3, tell, &told), 300);
    ck_assert_uint_eq(partition_in(proctrack, last), 3);
    ck_assert_int_eq(help_kill(3), 0);
    EVENTUALLY(proctrack_forget(proctrack, 3) == 0);
    for (int i = 0; i < told.count; i++)
        ck_assert(!alive(told.pids[i]));
}
END_TEST

START_TEST(threads_are_no_processes)
{
    struct procfs_process process;
    begin(_i);
    if (is_fake())
        return;
    pid_t pid = start(ALICE), tid = puppet_thread(pid);
    ck_assert_int_ne(pid, tid);
    ck_assert_int_eq(proctrack_look(proctrack, tid, &process), -EINVAL);
    ck_assert_int_eq(proctrack_leader(proctrack, tid), pid);
    ck_assert_int_eq(proctrack_leader(proctrack, pid), pid);
    process.pid = tid;
    ck_assert_int_eq(proctrack_join(proctrack, &SET(1), 0, &process, &why), -ESRCH);
    join(1, pid);
    MEMBERS(1, pid);
    puppet_end_first_thread(pid); /* shown as a zombie, but it is none */
    MEMBERS(1, pid);
    pid_t child = fork_of(pid);
    MEMBERS(1, pid, child);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!alive(child));
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
}
END_TEST

START_TEST(other_users)
{
    struct procfs_process process;
    begin(_i);
    if (is_fake() || geteuid() != 0)
        return;
    pid_t pid = start(0);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    join(1, pid);
    pid_t child = fork_of(pid);
    ck_assert_int_eq(puppet_setuid(pid, BOB), 0);
    ck_assert_int_eq(proctrack_join(proctrack, &SET(2), 0, &process, &why), -EAGAIN);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    ck_assert_uint_eq(process.uid, BOB);
    MEMBERS(1, pid, child);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!alive(pid) && !alive(child));
}
END_TEST

static void put_in(pid_t pid, const char *path)
{
    if (is_fake())
        proctrack_fake_put(proctrack, pid, path);
    else
        put(path, pid);
}

static void see_claim(void *context, const char *path)
{
    snprintf(context, PATH_MAX, "%s", path);
}

START_TEST(cgroups_of_others)
{
    char box[PATH_MAX] = "/box", inner[PATH_MAX] = "/box/inner", full[2 * PATH_MAX] = "/box";
    char told[PATH_MAX] = "";
    begin(_i);
    if (_i == 1) {
        ck_assert_int_eq(proctrack_claim(proctrack, 1, "/sys/fs/cgroup/box", &why), -EOPNOTSUPP);
        ck_assert(*why.text);
        ck_assert_int_eq(proctrack_claims(proctrack, 1, see_claim, told), 0);
        return;
    }
    if (!is_fake()) {
        strcpy(box, help_cgroup_make("box"));
        strcpy(inner, help_cgroup_make("box/inner"));
        snprintf(full, sizeof(full), "%s/%s", help_cgroup(), box);
    }
    pid_t one = start(ALICE), two = start(BOB), three = start(ALICE);
    put_in(one, box);
    put_in(two, inner);
    ck_assert_int_eq(proctrack_claim(proctrack, 0, full, &why), -EINVAL);
    ck_assert_int_eq(proctrack_claim(proctrack, 1, "..", &why), -EINVAL);
    int r;
    while ((r = proctrack_claim(proctrack, 1, full, &why)) == -EINPROGRESS)
        help_nap();
    ck_assert_msg(!r, "%s", why.text);
    ck_assert_int_eq(proctrack_claims(proctrack, 1, see_claim, told), 1);
    ck_assert_str_eq(told, full);
    pid_t child = fork_of(two);
    MEMBERS(1, one, two, child);
    put_in(three, inner);
    ck_assert_uint_eq(each().members[0], 4);
    join(2, three);
    ck_assert_int_eq(help_signal(1, SIGUSR1, NULL), 0);
    EVENTUALLY(signals(child, SIGUSR1) == 1);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!alive(one) && !alive(two) && !alive(child) && !alive(three));
    ck_assert_int_eq(help_forget(2), 0);
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(proctrack_claims(proctrack, 1, NULL, NULL), 0);
    pid_t later = start(ALICE);
    put_in(later, box);
    NO_MEMBERS(1);
    end(later, false);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {nothing_yet,
                                  looks,
                                  children_belong,
                                  joins_again_and_moves,
                                  leaves_with_its_children,
                                  leaves_those_of_others,
                                  refused_joins,
                                  several_at_a_time,
                                  hundreds,
                                  threads_are_no_processes,
                                  other_users,
                                  cgroups_of_others};
    TCase *all = contract_case(tests, ARRAY_COUNT(tests));
    tcase_add_test(all, sets);
    return all;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
