/* SPDX-License-Identifier: Apache-2.0 */
/* The process-tree adapter: recycled pids, and changes during a scan or a signal. */
#include "core/proctrack/ptree.h"
#include "help.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void setup(void)
{
    help_begin_mode("process-tree");
}

/* -- pids that are given out again ---------------------------------------------------------- */

static const char *when;
static pid_t victim;

static int on_step(void *context, const char *step)
{
    (void)context;
    if (strcmp(step, when) != 0)
        return 0;
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    ck_assert_int_eq(puppet_start_as(victim), victim);
    return 0;
}

START_TEST(given_out_again_in_a_join)
{
    static const char *const steps[] = {"open", "move"};
    if (geteuid() != 0)
        return;
    help_options.steps.before = on_step;
    help_open();
    when = steps[_i];
    victim = puppet_start(geteuid());
    ck_assert_int_eq(join_rc(1, victim), -ESRCH); /* perhaps in the same tick */
    ck_assert_uint_eq(partition_in(proctrack, victim), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    ck_assert(puppet_alive(victim));
}
END_TEST

START_TEST(given_out_again_in_a_signal)
{
    uint32_t count = 7;
    if (geteuid() != 0)
        return;
    help_options.steps.before = on_step;
    help_open();
    when = "signal";
    victim = puppet_start(geteuid());
    join(1, victim);
    usleep(30000);
    ck_assert_int_eq(help_signal(1, SIGUSR1, &count), 0);
    ck_assert_uint_eq(count, 0);
    usleep(20000);
    ck_assert_uint_eq(puppet_signals(victim, SIGUSR1), 0);
}
END_TEST

/* -- what happens while we look or send -------------------------------------------------------- */

static pid_t actor, born;

static int fork_at(void *context, const char *step)
{
    (void)context;
    if (strcmp(step, when) != 0 || born != 0)
        return 0;
    usleep(30000); /* the clock of processes ticks every 10 ms */
    born = puppet_fork(actor);
    usleep(30000);
    return 0;
}

START_TEST(born_while_we_signal)
{
    static const char *const steps[] = {"scanned", "signalled"};
    help_options.steps.before = fork_at;
    help_open();
    when = steps[_i];
    actor = puppet_start(geteuid());
    join(1, actor);
    ck_assert_int_eq(help_signal(1, SIGUSR1, NULL), 0);
    EVENTUALLY(puppet_signals(actor, SIGUSR1) == 1);
    usleep(20000);
    /* members of that moment are signalled; later ones may be an answer to it */
    ck_assert_uint_eq(puppet_signals(born, SIGUSR1), _i == 0);
    ck_assert_uint_eq(puppet_signals(actor, SIGUSR1), 1);
    ck_assert_int_eq(help_kill(1), 0);
}
END_TEST

static int fork_before_the_kill(void *context, const char *step)
{
    (void)context;
    if (strcmp(step, "kill") != 0)
        return 0;
    puppet_fork_later(actor);
    usleep(50000);
    return 0;
}

START_TEST(nobody_is_born_while_we_kill)
{
    help_options.steps.before = fork_before_the_kill;
    help_open();
    int before = puppet_count();
    actor = puppet_start(geteuid());
    join(1, actor);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!puppet_alive(actor));
    usleep(20000);
    ck_assert_int_eq(puppet_count(), before);
}
END_TEST

static bool pids_wrap;

static int end_while_read(void *context, const char *step)
{
    FILE *file;
    (void)context;
    if (strcmp(step, when) != 0 || born == 0 || !puppet_alive(actor))
        return 0;
    puppet_end(actor, false);
    if (!pids_wrap)
        return 0;
    file = fopen("/proc/sys/kernel/ns_last_pid", "w");
    ck_assert(file && fprintf(file, "%d", actor - 1) > 0 && fclose(file) == 0);
    return 0;
}

/* A parent that ended during the scan counts, unless its pid may have been reused. */
START_TEST(ended_while_we_look)
{
    pids_wrap = _i == 1;
    if (pids_wrap && (geteuid() != 0 || access("/proc/sys/kernel/ns_last_pid", W_OK) != 0)) {
        printf("not tried: pids that wrap around: ns_last_pid cannot be set\n");
        return;
    }
    help_options.steps.before = end_while_read;
    help_open();
    when = "read";
    actor = puppet_start(geteuid());
    join(1, actor);
    born = puppet_fork(actor);
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    ck_assert(!puppet_alive(actor));
    ck_assert_uint_eq(partition_in(proctrack, born), pids_wrap ? 0 : 1);
    kill(born, SIGKILL);
}
END_TEST

START_TEST(given_out_again_while_we_were_away)
{
    if (geteuid() != 0)
        return;
    help_open();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    proctrack = proctrack_close(proctrack);
    puppet_end(pid, false);
    usleep(30000);
    ck_assert_int_eq(puppet_start_as(pid), pid);
    pid_t child = puppet_fork(pid);
    help_open();
    ck_assert_int_eq(help_kill(1), 0);
    ck_assert_int_eq(members(1), 0);
    ck_assert_uint_eq(partition_in(proctrack, child), 0);
    ck_assert(puppet_alive(pid) && puppet_alive(child));
}
END_TEST

static bool pids_are_per_namespace(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    uname(&name);
    sscanf(name.release, "%d.%d", &major, &minor);
    return major > 6 || (major == 6 && minor >= 14); /* before, it is that of the whole machine */
}

/* Processes of others, which come and go as fast as they can; each reports if it is a member. */
static void churn(void)
{
    for (;;) {
        pid_t pid = fork();
        if (pid == 0) {
            usleep(1000);
            _exit(0);
        }
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
}

static bool is_others;
static pid_t others;

static void look_at_member(void *context, pid_t pid)
{
    struct procfs_stat stat;
    (void)context;
    is_others = is_others || pid == others ||
                (procfs_stat_read(((struct ptree *)proctrack)->proc_fd, pid, &stat) == 0 &&
                 stat.ppid == others);
}

/* A hundred pids, all reused several times a second. */
START_TEST(a_small_pid_namespace)
{
    FILE *file;
    if (geteuid() != 0 || !pids_are_per_namespace() ||
        !(file = fopen("/proc/sys/kernel/pid_max", "w"))) {
        printf("not tried: pids that come back soon: kernel.pid_max is not the namespace's\n");
        return;
    }
    fputs("400\n", file);
    ck_assert_int_eq(fclose(file), 0);
    help_open();
    others = fork();
    if (others == 0)
        churn();
    pid_t member = puppet_start(geteuid()), last = 0;
    join(1, member);
    int wraps = 0; /* after the first one, pids begin at 300 */
    for (int round = 0; round < 100 || (wraps < 2 && round < 900); round++) {
        pid_t child = puppet_fork(member);
        wraps += child < last;
        last = child;
        if (round % 3 == 0)
            ck_assert_int_eq(proctrack_scan(proctrack), 0);
        ck_assert_uint_eq(partition_in(proctrack, child), 1);
        puppet_end(child, true);
        proctrack_members(proctrack, 1, look_at_member, NULL);
        ck_assert(!is_others);
        ck_assert_uint_eq(partition_in(proctrack, others), 0);
    }
    ck_assert_int_ge(wraps, 2); /* else nothing was tested */
    ck_assert_int_eq(help_kill(1), 0);
    ck_assert(puppet_alive(others));
    kill(others, SIGKILL);
    waitpid(others, NULL, 0);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {given_out_again_in_a_signal, nobody_is_born_while_we_kill,
                                  given_out_again_while_we_were_away, a_small_pid_namespace};
    TCase *all = check_case("process-tree-races", setup, help_end);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tcase_add_test(all, tests[i]);
    tcase_add_loop_test(all, given_out_again_in_a_join, 0, 2);
    tcase_add_loop_test(all, born_while_we_signal, 0, 2);
    tcase_add_loop_test(all, ended_while_we_look, 0, 2);
    return all;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
