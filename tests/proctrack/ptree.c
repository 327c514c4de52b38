/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the process-tree adapter promises: what a scan finds and what it cannot, the
 * file of members whatever is in it, and that no pid given out again is taken for a
 * member, also where pids come back all the time.
 */
#include "core/proctrack/ptree.h"
#include "help.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static struct proctrack *proctrack;
static struct message why;
static char path[PATH_MAX + 16];
static struct proctrack_options options;

static void setup(void)
{
    help_begin();
    options = (struct proctrack_options){.instance = help_instance,
                                         .state_dir = help_directory,
                                         .mode = "process-tree",
                                         .boot_id = "boot 1"};
    snprintf(path, sizeof(path), "%s/members", help_directory);
}

static void teardown(void)
{
    proctrack = proctrack_close(proctrack);
    help_end();
}

static void begin(void)
{
    proctrack = proctrack_close(proctrack);
    ck_assert_msg(proctrack_open(&options, &proctrack, &why) == 0, "%s", why.text);
}

static int join_rc(uint64_t id, pid_t pid)
{
    struct procfs_process process;
    int rc = proctrack_look(proctrack, pid, &process);
    return rc != 0 ? rc : proctrack_join(proctrack, id, &process, &why);
}

static void join(uint64_t id, pid_t pid)
{
    ck_assert_msg(join_rc(id, pid) == 0, "%s", why.text);
}

static int members(uint64_t id)
{
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    return proctrack_members(proctrack, id, NULL, NULL);
}

START_TEST(what_was_seen_stays)
{
    begin();
    pid_t parent = puppet_start(geteuid()), other = puppet_start(geteuid());
    join(1, parent);
    pid_t child = puppet_fork(parent), grandchild = puppet_fork(child);
    ck_assert_int_eq(puppet_setsid(grandchild), 0);
    ck_assert_int_eq(members(1), 3);
    puppet_end(child, true);
    puppet_end(parent, false);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, grandchild), 1);
    pid_t away = puppet_fork_away(grandchild);
    ck_assert_int_eq(members(1), 1);
    /* the limit that is documented: its parents ended between two scans */
    ck_assert_uint_eq(proctrack_partition_of(proctrack, away), 0);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, other), 0);
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
    EVENTUALLY(!puppet_alive(grandchild));
}
END_TEST

START_TEST(a_chain_is_followed_as_deep_as_it_is)
{
    begin();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    for (int i = 0; i < 400; i++)
        pid = puppet_fork(pid);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 1);
    ck_assert_int_eq(members(1), 401); /* and the file has grown */
    begin();
    ck_assert_str_eq(why.text, "");
    ck_assert_int_eq(members(1), 401);
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
}
END_TEST

/* The daemon may itself have been started by a member. */
START_TEST(the_daemon_and_its_children)
{
    pid_t supervisor = puppet_start(geteuid());
    options.supervisor = supervisor;
    begin();
    join(1, getppid());
    pid_t ours = puppet_start(geteuid()), its = puppet_fork(supervisor);
    /* our sisters would be members, if there were any */
    ck_assert_int_eq(members(1), 1);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, getppid()), 1);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, getpid()), 0);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, ours), 0);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, its), 0);
}
END_TEST

START_TEST(another_boot)
{
    begin();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    begin();
    ck_assert_int_eq(members(1), 1);
    options.boot_id = "boot 2";
    begin();
    ck_assert_str_eq(why.text, "");
    ck_assert_int_eq(members(1), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    options.boot_id = "boot 1"; /* and it does not come back */
    begin();
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    options.boot_id = NULL;
    begin();
    join(1, pid);
    begin(); /* the machine's own is the same twice */
    ck_assert_int_eq(members(1), 1);
}
END_TEST

/* A record by the daemon's own means, but not of a process that lives. */
static void record_make(uint64_t id, pid_t pid, uint64_t start)
{
    struct ptree_file file = {.fd = -1};
    struct ptree_record record = {.id = id, .pid = (uint32_t)pid, .start = start};
    ck_assert_int_eq(ptree_file_open(&file, help_directory, "boot 1", &why), 0);
    ck_assert_int_eq(ptree_record_set(&file, &record), 0);
    ptree_file_close(&file);
}

START_TEST(made_up_records)
{
    struct procfs_process process;
    begin();
    pid_t pid = puppet_start(geteuid()), child = puppet_fork(pid), good = puppet_start(geteuid());
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    record_make(1, pid, process.start + 1);
    record_make(2, pid, process.start - 1);
    record_make(4, 999999, 5);
    ck_assert_int_eq(proctrack_look(proctrack, good, &process), 0);
    record_make(5, good, process.start);
    record_make(3, 1, 0); /* the last: each of these opens looks at what is there */
    begin();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged")); /* nobody makes a record of process 1 */
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 0);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, child), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 1);
    for (uint64_t id = 1; id <= 4; id++) {
        ck_assert_int_eq(members(id), 0);
        ck_assert_int_eq(proctrack_kill(proctrack, id), 0);
        ck_assert_int_eq(proctrack_signal(proctrack, id, SIGTERM, NULL), 0);
    }
    ck_assert(puppet_alive(pid) && puppet_alive(child));
    ck_assert_uint_eq(puppet_signals(pid, SIGTERM), 0);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, good), 5);
}
END_TEST

static void file_write(const void *bytes, size_t size, off_t at, bool cut)
{
    int fd = open(path, O_WRONLY | O_CREAT | (cut ? O_TRUNC : 0), 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

/* So large may files get; who writes more is refused. What Check itself writes too, so
 * nothing is asserted meanwhile. */
static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
}

START_TEST(no_room)
{
    struct ptree_record record = {.id = 7, .start = 1};
    int rc = 0;
    begin();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    limit_files(0);
    for (record.pid = 2; rc == 0 && record.pid < 1000; record.pid++)
        rc = ptree_record_set(&((struct ptree *)proctrack)->file, &record);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(members(1), 1);
    proctrack = proctrack_close(proctrack);
    limit_files(0);
    rc = proctrack_open(&options, &proctrack, &why);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(rc, 0);
    ck_assert_ptr_nonnull(strstr(why.text, "cannot be written"));
    /* Nobody is found where he may not be any more. */
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    join(2, pid);
    ck_assert_int_eq(members(2), 1);
    ck_assert_int_eq(proctrack_kill(proctrack, 2), 0);
    begin();
    ck_assert_str_eq(why.text, "");
}
END_TEST

START_TEST(damaged_files)
{
    char bytes[4096];
    begin();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    join(1, puppet_start(geteuid()));
    proctrack = proctrack_close(proctrack);
    file_write("x", 1, 64, false); /* the first record */
    begin();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
    file_write("X", 1, 0, false); /* the magic */
    begin();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    join(1, pid); /* and goes on with a new one */
    begin();
    ck_assert_str_eq(why.text, "");
    ck_assert_int_eq(members(1), 1);
    file_write("chronos", 7, 0, true);
    begin();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
    for (int round = 0; round < 100; round++) {
        proctrack = proctrack_close(proctrack);
        srand((unsigned)round);
        size_t size = (size_t)rand() % sizeof(bytes) + 1;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)rand();
        file_write(bytes, size, round % 2 == 0 ? 0 : 64 + rand() % 400, round % 3 == 0);
        begin();
        ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
        ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 0);
    }
}
END_TEST

START_TEST(files_that_cannot_be)
{
    char elsewhere[PATH_MAX + 16];
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", help_directory);
    ck_assert_int_eq(symlink(elsewhere, path), 0);
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &why), -ELOOP);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    ck_assert_int_ne(access(elsewhere, F_OK), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &why), -EISDIR);
    options.state_dir = elsewhere;
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &why), -ENOENT);
    options.state_dir = NULL;
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &why), -EINVAL);
    options.state_dir = help_directory;
    options.proc = elsewhere;
    ck_assert_int_eq(proctrack_open(&options, &proctrack, &why), -ENOENT);
    ck_assert_ptr_nonnull(strstr(why.text, elsewhere));
    ck_assert_int_eq(rmdir(path), 0);
    options.proc = NULL;
    begin();
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
}
END_TEST

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
    options.steps.before = on_step;
    begin();
    when = steps[_i];
    victim = puppet_start(geteuid());
    ck_assert_int_eq(join_rc(1, victim), -ESRCH); /* perhaps in the same tick */
    ck_assert_uint_eq(proctrack_partition_of(proctrack, victim), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    ck_assert(puppet_alive(victim));
}
END_TEST

START_TEST(given_out_again_in_a_signal)
{
    uint32_t count = 7;
    if (geteuid() != 0)
        return;
    options.steps.before = on_step;
    begin();
    when = "signal";
    victim = puppet_start(geteuid());
    join(1, victim);
    usleep(30000);
    ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR1, &count), 0);
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
    options.steps.before = fork_at;
    begin();
    when = steps[_i];
    actor = puppet_start(geteuid());
    join(1, actor);
    ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR1, NULL), 0);
    EVENTUALLY(puppet_signals(actor, SIGUSR1) == 1);
    usleep(20000);
    /* who was there is told; who came afterwards may be an answer to it */
    ck_assert_uint_eq(puppet_signals(born, SIGUSR1), _i == 0);
    ck_assert_uint_eq(puppet_signals(actor, SIGUSR1), 1);
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
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
    options.steps.before = fork_before_the_kill;
    begin();
    int before = puppet_count();
    actor = puppet_start(geteuid());
    join(1, actor);
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
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
    ck_assert(file != NULL && fprintf(file, "%d", actor - 1) > 0 && fclose(file) == 0);
    return 0;
}

/* A parent that ended while we looked counts, unless its pid may have been another's. */
START_TEST(ended_while_we_look)
{
    pids_wrap = _i == 1;
    if (pids_wrap && (geteuid() != 0 || access("/proc/sys/kernel/ns_last_pid", W_OK) != 0)) {
        printf("not tried: pids that wrap around: ns_last_pid cannot be set\n");
        return;
    }
    options.steps.before = end_while_read;
    begin();
    when = "read";
    actor = puppet_start(geteuid());
    join(1, actor);
    born = puppet_fork(actor);
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    ck_assert(!puppet_alive(actor));
    ck_assert_uint_eq(proctrack_partition_of(proctrack, born), pids_wrap ? 0 : 1);
    kill(born, SIGKILL);
}
END_TEST

START_TEST(given_out_again_while_we_were_away)
{
    if (geteuid() != 0)
        return;
    begin();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    proctrack = proctrack_close(proctrack);
    puppet_end(pid, false);
    usleep(30000);
    ck_assert_int_eq(puppet_start_as(pid), pid);
    pid_t child = puppet_fork(pid);
    begin();
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
    ck_assert_int_eq(members(1), 0);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, child), 0);
    ck_assert(puppet_alive(pid) && puppet_alive(child));
}
END_TEST

static bool pids_are_per_namespace(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    uname(&name);
    sscanf(name.release, "%d.%d", &major, &minor);
    return major > 6 || (major == 6 && minor >= 14); /* before, it is the whole machine's */
}

/* Others' processes, which come and go as fast as they can; each says if it is one. */
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

/* Three hundred pids, all given out again every fraction of a second. */
START_TEST(a_small_pid_namespace)
{
    FILE *file;
    if (geteuid() != 0 || !pids_are_per_namespace() ||
        (file = fopen("/proc/sys/kernel/pid_max", "w")) == NULL) {
        printf("not tried: pids that come back soon: kernel.pid_max is not the namespace's\n");
        return;
    }
    fputs("400\n", file);
    ck_assert_int_eq(fclose(file), 0);
    begin();
    others = fork();
    if (others == 0)
        churn();
    pid_t member = puppet_start(geteuid()), first = 0;
    join(1, member);
    bool again = false;
    for (int round = 0; round < 100 || (!again && round < 5000); round++) {
        pid_t child = puppet_fork(member);
        first = first == 0 ? child : first;
        again = again || (round > 10 && child <= first);
        if (round % 3 == 0)
            ck_assert_int_eq(proctrack_scan(proctrack), 0);
        ck_assert_uint_eq(proctrack_partition_of(proctrack, child), 1);
        puppet_end(child, true);
        proctrack_members(proctrack, 1, look_at_member, NULL);
        ck_assert(!is_others);
        ck_assert_uint_eq(proctrack_partition_of(proctrack, others), 0);
    }
    ck_assert(again); /* else nothing was tried */
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
    ck_assert(puppet_alive(others));
    kill(others, SIGKILL);
    waitpid(others, NULL, 0);
}
END_TEST

/* -- without root ---------------------------------------------------------------------------- */

/* A member that runs as somebody else cannot be signalled; that is told, and soon. */
START_TEST(members_of_others)
{
    uint32_t count = 7;
    if (geteuid() != 0)
        return;
    pid_t bobs = puppet_start(BOB), alices = puppet_start(ALICE);
    ck_assert_int_eq(chown(help_directory, ALICE, ALICE), 0);
    ck_assert_int_eq(setresuid(ALICE, ALICE, ALICE), 0);
    begin();
    join(1, bobs);
    join(2, bobs);
    join(1, alices);
    ck_assert_int_eq(members(1), 1);
    ck_assert_int_eq(proctrack_signal(proctrack, 2, SIGUSR1, &count), -EPERM);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(proctrack_freeze(proctrack, 2, true), -EPERM);
    ck_assert_int_eq(proctrack_kill(proctrack, 2), -EPERM);
    ck_assert(puppet_alive(bobs));
    join(1, bobs);
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
    EVENTUALLY(!puppet_alive(alices));
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("enforcer-tree");
    TCase *all = tcase_create("process-tree");
    const TTest *const tests[] = {what_was_seen_stays,
                                  a_chain_is_followed_as_deep_as_it_is,
                                  the_daemon_and_its_children,
                                  another_boot,
                                  made_up_records,
                                  damaged_files,
                                  no_room,
                                  files_that_cannot_be,
                                  given_out_again_in_a_signal,
                                  given_out_again_while_we_were_away,
                                  nobody_is_born_while_we_kill,
                                  members_of_others,
                                  a_small_pid_namespace};
    tcase_add_checked_fixture(all, setup, teardown);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(all, tests[i]);
    tcase_add_loop_test(all, given_out_again_in_a_join, 0, 2);
    tcase_add_loop_test(all, born_while_we_signal, 0, 2);
    tcase_add_loop_test(all, ended_while_we_look, 0, 2);
    tcase_set_timeout(all, 120);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
