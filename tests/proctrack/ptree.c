/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of the process-tree adapter alone: what a scan can find and what it cannot, any
 * content of the file of members, and that the next process of a recycled pid is never
 * taken for a member, even where pids are reused all the time.
 */
#include "core/proctrack/ptree.h"
#include "help.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[PATH_MAX + 16];

static void setup(void)
{
    help_begin_mode("process-tree");
    help_options.boot_id = "boot 1";
    snprintf(path, sizeof(path), "%s/members", help_directory);
}

START_TEST(what_was_seen_stays)
{
    help_open();
    pid_t parent = puppet_start(geteuid()), other = puppet_start(geteuid());
    join(1, parent);
    pid_t child = puppet_fork(parent), grandchild = puppet_fork(child);
    ck_assert_int_eq(puppet_setsid(grandchild), 0);
    ck_assert_int_eq(members(1), 3);
    puppet_end(child, true);
    puppet_end(parent, false);
    ck_assert_uint_eq(partition_in(proctrack, grandchild), 1);
    pid_t away = puppet_fork_away(grandchild);
    ck_assert_int_eq(members(1), 1);
    /* the documented limit: its parents ended between two scans */
    ck_assert_uint_eq(partition_in(proctrack, away), 0);
    ck_assert_uint_eq(partition_in(proctrack, other), 0);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!puppet_alive(grandchild));
}
END_TEST

START_TEST(a_chain_is_followed_as_deep_as_it_is)
{
    help_open();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    for (int i = 0; i < 400; i++)
        pid = puppet_fork(pid);
    ck_assert_uint_eq(partition_in(proctrack, pid), 1);
    ck_assert_int_eq(members(1), 401); /* and the file has grown */
    help_open();
    ck_assert_str_eq(why.text, "");
    ck_assert_int_eq(members(1), 401);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
}
END_TEST

/* The daemon itself may have been started by a member. */
START_TEST(the_daemon_and_its_children)
{
    pid_t supervisor = puppet_start(geteuid());
    help_options.supervisor = supervisor;
    help_open();
    join(1, getppid());
    pid_t ours = puppet_start(geteuid()), its = puppet_fork(supervisor);
    /* our siblings would be members, if there were any */
    ck_assert_int_eq(members(1), 1);
    ck_assert_uint_eq(partition_in(proctrack, getppid()), 1);
    ck_assert_uint_eq(partition_in(proctrack, getpid()), 0);
    ck_assert_uint_eq(partition_in(proctrack, ours), 0);
    ck_assert_uint_eq(partition_in(proctrack, its), 0);
}
END_TEST

START_TEST(another_boot)
{
    help_open();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    help_open();
    ck_assert_int_eq(members(1), 1);
    help_options.boot_id = "boot 2";
    help_open();
    ck_assert_str_eq(why.text, "");
    ck_assert_int_eq(members(1), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    help_options.boot_id = "boot 1"; /* and it does not come back */
    help_open();
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    help_options.boot_id = NULL;
    help_open();
    join(1, pid);
    help_open(); /* the machine's own id is the same twice */
    ck_assert_int_eq(members(1), 1);
}
END_TEST

/* Writes a valid record of a process that is not alive. */
static void record_make(uint64_t id, pid_t pid, uint64_t start)
{
    struct ptree_file file = {.fd = -1};
    struct ptree_record record = {.in = {{id}}, .pid = (uint32_t)pid, .start = start};
    ck_assert_int_eq(ptree_file_open(&file, help_directory, "boot 1", &why), 0);
    ck_assert_int_eq(ptree_file_record_set(&file, &record), 0);
    ptree_file_close(&file);
}

START_TEST(made_up_records)
{
    struct procfs_process process;
    help_open();
    pid_t pid = puppet_start(geteuid()), child = puppet_fork(pid), good = puppet_start(geteuid());
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    record_make(1, pid, process.start + 1);
    record_make(2, pid, process.start - 1);
    record_make(4, 999999, 5);
    ck_assert_int_eq(proctrack_look(proctrack, good, &process), 0);
    record_make(5, good, process.start);
    record_make(3, 1, 0); /* the last: opening looks at each of them */
    help_open();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged")); /* process 1 never has a record */
    ck_assert_uint_eq(partition_in(proctrack, pid), 0);
    ck_assert_uint_eq(partition_in(proctrack, child), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 1);
    for (uint64_t id = 1; id <= 4; id++) {
        ck_assert_int_eq(members(id), 0);
        ck_assert_int_eq(help_kill(id), 0);
        ck_assert_int_eq(help_signal(id, SIGTERM, NULL), 0);
    }
    ck_assert(puppet_alive(pid) && puppet_alive(child));
    ck_assert_uint_eq(puppet_signals(pid, SIGTERM), 0);
    ck_assert_uint_eq(partition_in(proctrack, good), 5);
}
END_TEST

static void file_write(const void *bytes, size_t size, off_t at, bool cut)
{
    int fd = open(path, O_WRONLY | O_CREAT | (cut ? O_TRUNC : 0), 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

/* Limits the size of files; larger writes are refused. This also affects Check itself, so
 * nothing is asserted while it is in force. */
static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
}

START_TEST(no_room)
{
    struct ptree_record record = {.in = {{7}}, .start = 1};
    int r = 0;
    help_open();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    limit_files(0);
    for (record.pid = 2; !r && record.pid < 1000; record.pid++)
        r = ptree_file_record_set(&((struct ptree *)proctrack)->file, &record);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(members(1), 1);
    proctrack = proctrack_close(proctrack);
    limit_files(0);
    r = proctrack_open(&help_options, &proctrack, &why);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(r, 0);
    ck_assert_ptr_nonnull(strstr(why.text, "Cannot use"));
    /* No member is found in a partition that it may have left. */
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    join(2, pid);
    ck_assert_int_eq(members(2), 1);
    ck_assert_int_eq(help_kill(2), 0);
    help_open();
    ck_assert_str_eq(why.text, "");
}
END_TEST

START_TEST(damaged_files)
{
    char bytes[4096];
    help_open();
    pid_t pid = puppet_start(geteuid());
    join(1, pid);
    join(1, puppet_start(geteuid()));
    proctrack = proctrack_close(proctrack);
    file_write("x", 1, 64, false); /* the first record */
    help_open();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
    file_write("X", 1, 0, false); /* the magic */
    help_open();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    join(1, pid); /* and goes on with a new one */
    help_open();
    ck_assert_str_eq(why.text, "");
    ck_assert_int_eq(members(1), 1);
    file_write("chronos", 7, 0, true);
    help_open();
    ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
    for (int round = 0; round < 100; round++) {
        proctrack = proctrack_close(proctrack);
        srand((unsigned)round);
        size_t size = (size_t)rand() % sizeof(bytes) + 1;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)rand();
        file_write(bytes, size, round % 2 == 0 ? 0 : 64 + rand() % 400, round % 3 == 0);
        help_open();
        ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
        ck_assert_uint_eq(partition_in(proctrack, pid), 0);
    }
}
END_TEST

/* Whatever stands in the place of the file, programs can join and are ended. */
START_TEST(files_that_cannot_be)
{
    char elsewhere[PATH_MAX + 16];
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", help_directory);
    for (int kind = 0; kind < 5; kind++) {
        int r = kind == 0   ? symlink(elsewhere, path)
                : kind == 1 ? symlink("/dev/zero", path)
                : kind == 2 ? mkfifo(path, 0600)
                            : mkdir(path, 0700);
        ck_assert_int_eq(r, 0);
        if (kind == 4)
            help_options.state_dir = elsewhere;
        help_open();
        ck_assert_msg(strstr(why.text, "Cannot use"), "%d %s", kind, why.text);
        ck_assert_int_ne(access(elsewhere, F_OK), 0);
        pid_t pid = puppet_start(geteuid());
        join(1, pid);
        ck_assert_int_eq(members(1), 1);
        end_all(1);
        proctrack = proctrack_close(proctrack);
        ck_assert_int_eq(remove(path), 0);
    }
    help_options.state_dir = NULL;
    ck_assert_int_eq(proctrack_open(&help_options, &proctrack, &why), -EINVAL);
    help_options.state_dir = help_directory;
    help_options.proc = elsewhere;
    ck_assert_int_eq(proctrack_open(&help_options, &proctrack, &why), -ENOENT);
    ck_assert_ptr_nonnull(strstr(why.text, elsewhere));
    help_options.proc = NULL;
    help_open();
    ck_assert_str_eq(why.text, "");
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
}
END_TEST

/* -- without root ---------------------------------------------------------------------------- */

/* A member of another user cannot be signalled; that is reported, and soon. */
START_TEST(members_of_others)
{
    uint32_t count = 7;
    if (geteuid() != 0)
        return;
    pid_t bobs = puppet_start(BOB), alices = puppet_start(ALICE);
    ck_assert_int_eq(chown(help_directory, ALICE, ALICE), 0);
    ck_assert_int_eq(setresuid(ALICE, ALICE, ALICE), 0);
    help_open();
    join(1, bobs);
    join(2, bobs);
    join(1, alices);
    ck_assert_int_eq(members(1), 1);
    ck_assert_int_eq(help_signal(2, SIGUSR1, &count), -EPERM);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(help_freeze(2, true), -EPERM);
    ck_assert_int_eq(help_kill(2), -EPERM);
    ck_assert(puppet_alive(bobs));
    join(1, bobs);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!puppet_alive(alices));
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {what_was_seen_stays,
                                  a_chain_is_followed_as_deep_as_it_is,
                                  the_daemon_and_its_children,
                                  another_boot,
                                  made_up_records,
                                  no_room,
                                  damaged_files,
                                  files_that_cannot_be,
                                  members_of_others};
    TCase *all = check_case("process-tree", setup, help_end);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tcase_add_test(all, tests[i]);
    return all;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
