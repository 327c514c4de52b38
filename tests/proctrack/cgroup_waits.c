/* SPDX-License-Identifier: Apache-2.0 */
/* What the children of the cgroup adapter do after a wait, when it may no longer be wanted. */
#include "help.h"

#include "core/proctrack/cgroup.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared with the children: the step in which they wait, as if a user held a directory. */
static struct {
    char step[16];
    int most;                  /* how many wait there at most; 0: all */
    atomic_int waiting, moved; /* how many wait there or have waited; any has moved a process */
} * shared;

static pid_t ends_in_join; /* as it is about to be moved; 0: none */

static int on_step(void *context, const char *step)
{
    const pid_t *tests = context;
    if (getpid() == *tests && ends_in_join && strcmp(step, "move") == 0)
        puppet_end(ends_in_join, false);
    if (getpid() == *tests)
        return 0;
    if (strcmp(step, "moved") == 0)
        shared->moved = 1;
    if (strcmp(step, shared->step) != 0 || (shared->most && shared->waiting >= shared->most))
        return 0;
    shared->waiting++;
    while (strcmp(step, shared->step) == 0)
        usleep(1000);
    return 0;
}

static void setup(void)
{
    static pid_t own;
    own = getpid();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    help_begin_mode("cgroup");
    help_options.steps.before = on_step;
    help_options.steps.context = &own;
    help_open();
}

static void hold(const char *step)
{
    shared->waiting = 0;
    strcpy(shared->step, step);
}

static void let_go(void)
{
    EVENTUALLY(shared->waiting);
    shared->step[0] = '\0';
}

/* Returns a process in a cgroup of its own, `place`, which waits to join p1. */
static pid_t waits_to_join(const char *place)
{
    char path[PATH_MAX];
    struct procfs_process process;
    pid_t pid = puppet_start(ALICE);
    strcpy(path, help_cgroup_make(place));
    put(path, pid);
    hold("make");
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    ck_assert_int_eq(proctrack_join(proctrack, &(struct proctrack_set){{1}}, 0, &process, &why),
                     -EINPROGRESS);
    return pid;
}

static uint64_t partition_of(pid_t pid)
{
    struct proctrack_set set;
    proctrack_find(proctrack, pid, &set);
    return set.ids[0];
}

static int leaves_of(uint64_t id)
{
    char name[64];
    snprintf(name, sizeof(name), "%s-p%llu", help_instance, (unsigned long long)id);
    return help_cgroup_count(name);
}

/* -- joins --------------------------------------------------------------------------------- */

START_TEST(made_after_the_last_call)
{
    waits_to_join("a");
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    let_go();
    EVENTUALLY(leaves_of(1) == 1);
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(leaves_of(1), 0);
}
END_TEST

/* Its result comes with another call. */
START_TEST(made_and_not_asked_for)
{
    char b[PATH_MAX];
    pid_t pid = waits_to_join("a"), other = puppet_start(ALICE);
    let_go();
    EVENTUALLY(leaves_of(1) == 1);
    strcpy(b, help_cgroup_make("b"));
    put(b, other);
    join(2, other);
    EVENTUALLY(proctrack_each(proctrack, NULL, NULL) == 2);
    join(1, pid); /* it is the same */
    ck_assert_int_eq(leaves_of(1), 1);
    end_all(1);
    end_all(2);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
}
END_TEST

START_TEST(made_while_all_are_frozen)
{
    char b[PATH_MAX], path[PATH_MAX], frozen[8];
    pid_t first = puppet_start(ALICE);
    strcpy(b, help_cgroup_make("b"));
    put(b, first);
    join(1, first);
    pid_t pid = waits_to_join("a");
    ck_assert_int_eq(help_freeze(1, true), 0);
    let_go();
    EVENTUALLY(leaves_of(1) == 2);
    join(2, first); /* a change that is none of p1's */
    join(1, pid);
    help_cgroup_of(pid, path, sizeof(path));
    help_read(path, "cgroup.freeze", frozen, sizeof(frozen));
    ck_assert_str_eq(frozen, "1\n");
    end_all(1);
    end_all(2);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
}
END_TEST

START_TEST(made_after_the_daemon)
{
    waits_to_join("a");
    help_open();
    let_go();
    EVENTUALLY(!leaves_of(1) && waitpid(-1, NULL, WNOHANG) >= 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
}
END_TEST

START_TEST(made_and_not_kept)
{
    struct rlimit before, few = {.rlim_cur = 24};
    char text[32];
    pid_t pid;
    int id = 0, r;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    proctrack = proctrack_close(proctrack);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0); /* 21 leaves */
    help_open();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    do {
        pid = puppet_start(ALICE);
        r = join_rc((uint64_t)++id, pid);
    } while (!r && id < 30);
    ck_assert_int_eq(r, -EMFILE);
    snprintf(text, sizeof(text), "(%d of 21 are in use)", id - 1);
    ck_assert_msg(strstr(why.text, text) && strstr(why.text, "higher limit of open files"), "%s",
                  why.text);
    ck_assert_uint_lt(strlen(why.text), 256); /* fits in `status` */
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), id - 1);
    EVENTUALLY(help_cgroup_count(help_instance) == id - 1);
    while (--id > 0)
        end_all((uint64_t)id);
}
END_TEST

/* What a new daemon found counts for its account: no other's removals wait for it. */
START_TEST(removed_by_account)
{
    enum { OWN = 4, ALL };
    char place[16], path[PATH_MAX];
    for (int i = 1; i <= ALL; i++) {
        pid_t pid = puppet_start(ALICE);
        snprintf(place, sizeof(place), "place%d", i);
        strcpy(path, help_cgroup_make(place));
        put(path, pid);
        join((uint64_t)i, pid);
        puppet_end(pid, false);
    }
    help_open();
    for (int i = 1; i <= ALL; i++)
        proctrack_account(proctrack, (uint64_t)i, i > OWN);
    hold("remove");
    for (int i = 1; i <= ALL; i++)
        EVENTUALLY((proctrack_forget(proctrack, (uint64_t)i), shared->waiting == i));
    let_go();
    for (int i = 1; i <= ALL; i++)
        ck_assert_int_eq(help_forget((uint64_t)i), 0);
}
END_TEST

/* What another call fetches moves the leaves that are known. */
START_TEST(made_while_another_is_removed)
{
    char b[PATH_MAX];
    pid_t other = puppet_start(ALICE);
    strcpy(b, help_cgroup_make("b"));
    put(b, other);
    join(2, other);
    puppet_end(other, false);
    waits_to_join("a");
    let_go();
    EVENTUALLY(leaves_of(1) == 1);
    ck_assert_int_eq(help_forget(2), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 1);
    end_all(1);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
}
END_TEST

/* A removal that cannot begin yet is not forgotten. */
START_TEST(not_joined_while_another_is_removed)
{
    char a[PATH_MAX];
    pid_t first = puppet_start(ALICE), last = puppet_start(ALICE);
    put(strcpy(a, help_cgroup_make("a")), first);
    put(a, last);
    join(1, first);
    puppet_end(first, false);
    hold("remove");
    EVENTUALLY((proctrack_forget(proctrack, 1), shared->waiting == 1));
    ends_in_join = last;
    ck_assert_int_eq(join_rc(2, last), -ESRCH);
    ck_assert_int_eq(proctrack_forget(proctrack, 2), -EBUSY);
    let_go();
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(help_forget(2), 0);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
}
END_TEST

/* A directory that is held does not keep what is elsewhere from making room. */
START_TEST(makes_room_elsewhere)
{
    char a[PATH_MAX], b[PATH_MAX];
    uint64_t next = 2;
    pid_t in_a = puppet_start(ALICE), in_b = puppet_start(ALICE), last = puppet_start(ALICE);
    put(strcpy(a, help_cgroup_make("a")), in_a);
    put(strcpy(b, help_cgroup_make("b")), in_b);
    while (next < CGROUP_SETS_MAX + 1)
        ck_assert_int_eq(join_set(SET(1, next++), in_a), 0);
    ck_assert_int_eq(join_set(SET(1, next++), in_b), 0);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    puppet_end(in_a, false);
    puppet_end(in_b, false);
    shared->most = 1;
    hold("remove");
    EVENTUALLY(join_set(SET(1, next), last) == 0);
    ck_assert_int_eq(shared->waiting, 1);
    let_go();
    while (next > 1)
        end_all(next--);
    end_all(1);
}
END_TEST

/* -- leaves -------------------------------------------------------------------------------- */

static struct procfs_process leaver;

/* Returns a member of p1 that is about to leave when it gets to `step`. */
static pid_t waits_to_leave(const char *step)
{
    char home[PATH_MAX];
    pid_t pid = puppet_start(ALICE);
    strcpy(home, help_cgroup_make("home"));
    put(home, pid);
    join(1, pid);
    shared->moved = 0;
    hold(step);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &leaver), 0);
    ck_assert_int_eq(proctrack_leave(proctrack, 0, &leaver, false, &why), -EINPROGRESS);
    EVENTUALLY(shared->waiting);
    return pid;
}

START_TEST(stays_when_its_partition_ends)
{
    pid_t pid = waits_to_leave("leave"), child;
    proctrack_stay(proctrack, &leaver);
    EVENTUALLY((child = waitpid(-1, NULL, WNOHANG)) > 0); /* none that waits here */
    let_go();
    ck_assert_int_eq(shared->moved, 0);
    ck_assert_uint_eq(partition_of(pid), 1);
    EVENTUALLY(proctrack_leave(proctrack, 0, &leaver, false, &why) == 0); /* asked again */
    ck_assert_uint_eq(partition_of(pid), 0);
    end_all(1);
}
END_TEST

START_TEST(asks_again_after_a_while)
{
    int r;
    pid_t pid = waits_to_leave("leave");
    usleep(1100000);
    let_go();
    EVENTUALLY((r = proctrack_leave(proctrack, 0, &leaver, false, &why)) != -EINPROGRESS);
    ck_assert_int_eq(r, -EBUSY);
    ck_assert_uint_eq(partition_of(pid), 1);
    end_all(1);
}
END_TEST

START_TEST(given_out_again_in_a_leave)
{
    char before[PATH_MAX], after[PATH_MAX];
    pid_t pid = waits_to_leave("move");
    help_cgroup_of(getpid(), before, sizeof(before));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    usleep(30000); /* the kernel tells when a process started in hundredths of a second */
    ck_assert_int_eq(puppet_start_as(pid), pid);
    let_go();
    EVENTUALLY(shared->moved);
    EVENTUALLY((help_cgroup_of(pid, after, sizeof(after)), strcmp(after, before) == 0));
    ck_assert(puppet_alive(pid));
    end_all(1);
}
END_TEST

/* The next process with the pid leaves, too: what became of the first is not its result. */
START_TEST(leaves_after_another)
{
    struct procfs_process next;
    int r;
    pid_t pid = waits_to_leave("leave");
    EVENTUALLY(shared->waiting);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    usleep(30000); /* the kernel tells when a process started in hundredths of a second */
    ck_assert_int_eq(puppet_start_as(pid), pid);
    put(help_cgroup_make("home"), pid);
    join(1, pid);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &next), 0);
    ck_assert_int_eq(proctrack_leave(proctrack, 0, &next, false, &why), -EINPROGRESS);
    let_go();
    EVENTUALLY((r = proctrack_leave(proctrack, 0, &next, false, &why)) != -EINPROGRESS);
    ck_assert_int_eq(r, 0);
    ck_assert_uint_eq(partition_of(pid), 0);
    end_all(1);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {made_after_the_last_call,
                                  made_and_not_asked_for,
                                  made_while_all_are_frozen,
                                  made_after_the_daemon,
                                  stays_when_its_partition_ends,
                                  asks_again_after_a_while,
                                  given_out_again_in_a_leave,
                                  made_and_not_kept,
                                  removed_by_account,
                                  made_while_another_is_removed,
                                  not_joined_while_another_is_removed,
                                  makes_room_elsewhere,
                                  leaves_after_another};
    return help_cgroup_case("cgroup-waits", setup, tests, ARRAY_COUNT(tests));
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
