/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup adapter never moves the next process of a recycled pid. */
#include "help.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void setup(void)
{
    help_begin_mode("cgroup");
}

static const char *when = "";
static pid_t victim, child_of_other;
static bool with_child;

static int on_step(void *context, const char *step)
{
    (void)context;
    if (strcmp(step, "moved") == 0 && with_child)
        child_of_other = puppet_fork(victim);
    if (strcmp(step, when) != 0)
        return 0;
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    ck_assert_int_eq(puppet_start_as(victim), victim);
    return 0;
}

START_TEST(given_out_again_in_a_join)
{
    static const char *const steps[] = {"open", "move", "moved"};
    char home[PATH_MAX], before[PATH_MAX], after[PATH_MAX];
    help_options.steps.before = on_step;
    help_open();
    when = steps[_i];
    with_child = _i == 1;
    strcpy(home, help_cgroup_make("home"));
    victim = puppet_start(ALICE);
    put(home, victim);
    help_cgroup_of(getpid(), before, sizeof(before));
    ck_assert_int_eq(join_rc(1, victim), -ESRCH);
    /* the other one is back with its parent */
    EVENTUALLY(partition_in(proctrack, victim) == 0);
    help_cgroup_of(victim, after, sizeof(after));
    ck_assert_str_eq(after, before);
    if (with_child)
        EVENTUALLY((help_cgroup_of(child_of_other, after, sizeof(after)), !strcmp(after, before)));
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    /* a cgroup that is made or removed slowly is the host's to forget */
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
    ck_assert(puppet_alive(victim));
}
END_TEST

START_TEST(given_out_again_in_a_signal)
{
    uint32_t count = 7;
    help_options.steps.before = on_step;
    help_open();
    when = "signal";
    with_child = false;
    victim = puppet_start(ALICE);
    join(1, victim);
    ck_assert_int_eq(help_signal(1, SIGUSR1, &count), 0);
    ck_assert_uint_eq(count, 0);
    usleep(20000);
    ck_assert_uint_eq(puppet_signals(victim, SIGUSR1), 0);
    ck_assert(puppet_alive(victim));
}
END_TEST

START_TEST(no_first_thread)
{
    help_open();
    pid_t pid = puppet_start(ALICE);
    puppet_end_first_thread(pid);
    ck_assert_int_eq(join_rc(1, pid), -EOPNOTSUPP);
    ck_assert_ptr_nonnull(strstr(why.text, "first thread"));
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

/* A daemon that was started by a member is no member. */
START_TEST(the_daemon_steps_out)
{
    char path[PATH_MAX], name[64];
    pid_t supervisor = puppet_start(0);
    snprintf(name, sizeof(name), "chronosfs-%s-p1", help_instance);
    strcpy(path, help_cgroup_make(name));
    put(path, getpid());
    put(path, supervisor);
    help_options.supervisor = supervisor;
    help_open();
    ck_assert_uint_eq(partition_in(proctrack, getpid()), 0);
    ck_assert_uint_eq(partition_in(proctrack, supervisor), 0);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(help_forget(1), 0);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {given_out_again_in_a_signal, no_first_thread,
                                  the_daemon_steps_out};
    TCase *all = help_cgroup_case("cgroup-races", setup, tests, ARRAY_COUNT(tests));
    if (help_cgroup() && geteuid() == 0)
        tcase_add_loop_test(all, given_out_again_in_a_join, 0, 3);
    return all;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
