/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the process tracker port. Every test runs against every adapter, with
 * real processes for the real ones and made-up processes for the fake. Promises of one
 * adapter alone are in cgroup*.c and ptree*.c.
 */
#include "core/proctrack/fake.h"
#include "help.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const modes[] = {"fake", "process-tree", "cgroup"};
#define MODE_COUNT 3

static int mode;
static pid_t supervisor;

static bool is_fake(void)
{
    return mode == 0;
}

/* -- processes of either kind ------------------------------------------------------------ */

static pid_t start(uid_t uid)
{
    if (!is_fake())
        return puppet_start(geteuid() == 0 ? uid : geteuid());
    return proctrack_fake_start(proctrack, 0, uid);
}

static pid_t fork_of(pid_t parent)
{
    return is_fake() ? proctrack_fake_start(proctrack, parent, 0) : puppet_fork(parent);
}

static void end(pid_t pid, bool zombie)
{
    if (is_fake())
        proctrack_fake_end(proctrack, pid, zombie);
    else
        puppet_end(pid, zombie);
}

static bool alive(pid_t pid)
{
    return is_fake() ? proctrack_fake_alive(proctrack, pid) : puppet_alive(pid);
}

static unsigned signals(pid_t pid, int signo)
{
    return is_fake() ? proctrack_fake_signals(proctrack, pid, signo) : puppet_signals(pid, signo);
}

/* -- what most tests begin with ------------------------------------------------------------ */

static int open_again(void)
{
    struct proctrack_options options = {.instance = help_instance,
                                        .state_dir = help_directory,
                                        .mode = modes[mode],
                                        .supervisor = supervisor};
    return proctrack_open(&options, &proctrack, &why);
}

static void begin(int number)
{
    mode = number;
    ck_assert_msg(open_again() == 0, "%s", why.text);
}

static void setup(void)
{
    help_begin();
}

static void teardown(void)
{
    for (uint64_t id = 1; proctrack && !is_fake() && id < 5; id++)
        help_kill(id);
    help_end();
}

struct told {
    pid_t pids[600];
    int count;
};

static void tell(void *context, pid_t pid)
{
    struct told *told = context;
    ck_assert_int_lt(told->count, 600);
    ck_assert(told->count == 0 || told->pids[told->count - 1] < pid);
    told->pids[told->count++] = pid;
}

/* Asserts that exactly these are members; the list ends with 0. */
static void members_are(uint64_t id, const pid_t *pids)
{
    struct told told = {.count = 0};
    int count = 0;
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    ck_assert_int_eq(proctrack_members(proctrack, id, tell, &told), told.count);
    ck_assert_int_eq(proctrack_members(proctrack, id, NULL, NULL), told.count);
    for (; pids[count] != 0; count++) {
        bool found = false;
        for (int i = 0; i < told.count; i++)
            found = found || told.pids[i] == pids[count];
        ck_assert_msg(found, "%d is no member of %d", pids[count], (int)id);
        ck_assert_uint_eq(partition_in(proctrack, pids[count]), id);
    }
    ck_assert_int_eq(told.count, count);
}

#define MEMBERS(id, ...) members_are(id, (const pid_t[]){__VA_ARGS__, 0})
#define NO_MEMBERS(id)   members_are(id, (const pid_t[]){0})

struct seen {
    uint64_t ids[10];
    uint32_t members[10];
    bool frozen[10];
    int count;
};

static void see(void *context, uint64_t id, uint32_t members, bool frozen)
{
    struct seen *seen = context;
    ck_assert(seen->count == 0 || seen->ids[seen->count - 1] < id);
    seen->ids[seen->count] = id;
    seen->members[seen->count] = members;
    seen->frozen[seen->count++] = frozen;
}

static struct seen each(void)
{
    struct seen seen = {.count = 0};
    ck_assert_int_eq(proctrack_each(proctrack, see, &seen), seen.count);
    return seen;
}

/* -- the contract ---------------------------------------------------------------------- */

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
    pid_t meanwhile = fork_of(child);
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
    MEMBERS(1, child, meanwhile);
    MEMBERS(2, third);
    MEMBERS(UINT64_C(1) << 60, second);
    ck_assert_int_eq(help_kill(UINT64_C(1) << 60), 0);
    EVENTUALLY(!alive(second));
    ck_assert_int_eq(proctrack_forget(proctrack, UINT64_C(1) << 60), 0);
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
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    ck_assert_int_gt(proctrack_members(proctrack, 1, tell, &told), 30);
    EVENTUALLY((help_kill(1), proctrack_forget(proctrack, 1) == 0));
    ck_assert(!alive(pid));
    EVENTUALLY(puppet_count() == before); /* a child of the tracker lives a little longer */
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
    const TTest *const tests[] = {nothing_yet,
                                  looks,
                                  children_belong,
                                  joins_again_and_moves,
                                  leaves_with_its_children,
                                  leaves_those_of_others,
                                  refused_joins,
                                  signals_once,
                                  kills_all,
                                  freezes_and_thaws,
                                  kills_the_frozen_and_the_stopped,
                                  forgets,
                                  several_at_a_time,
                                  frozen_for_two,
                                  hundreds,
                                  found_after_a_restart,
                                  two_do_not_see_each_other,
                                  a_pid_is_given_out_again,
                                  odd_options,
                                  stuck_in_the_kernel,
                                  odd_names,
                                  threads_are_no_processes,
                                  other_users,
                                  fork_bomb,
                                  cgroups_of_others};
    TCase *all = check_case("contract", setup, teardown);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tcase_add_loop_test(all, tests[i], 0, help_cgroup() ? MODE_COUNT : 2);
    tcase_add_test(all, sets);
    tcase_add_test(all, fake_sticks);
    return all;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
