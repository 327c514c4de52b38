/* SPDX-License-Identifier: Apache-2.0 */
/* What core/base reads from the host: clocks, descriptors, processes, mounts, the boot id. */
#include "tests/check.h"

#include "core/base/boot_id.h"
#include "core/base/clock.h"
#include "core/base/confine.h"
#include "core/base/fd.h"
#include "core/base/mountinfo.h"
#include "core/base/pidfd.h"
#include "core/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(clocks_go_forward)
{
    int64_t boot = clock_boottime_ns(), steady = clock_monotonic_ns(), wall = clock_realtime_ns();
    ck_assert_int_gt(boot, 0);
    ck_assert_int_ge(clock_boottime_ns(), boot);
    ck_assert_int_ge(clock_monotonic_ns(), steady);
    ck_assert_int_gt(wall, INT64_C(1600000000) * NS_PER_SECOND);
    struct timespec time = clock_timespec(3 * NS_PER_SECOND + 7);
    ck_assert(time.tv_sec == 3 && time.tv_nsec == 7);
    time = clock_timespec(-3 * NS_PER_SECOND - 7);
    ck_assert(time.tv_sec == -4 && time.tv_nsec == 999999993);
}
END_TEST

START_TEST(descriptors)
{
    char text[8];
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    errno = ENOSPC;
    ck_assert_int_eq(fd_close(fd), -1);
    ck_assert_int_eq(fd_close(fd), -1);
    ck_assert_int_eq(fd_close(-1), -1);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_int_eq(fd_read_text(AT_FDCWD, "/dev/null", text, sizeof(text)), 0);
    ck_assert_int_eq(fd_read_text(AT_FDCWD, "/dev/zero", text, sizeof(text)), 7);
    strcpy(text, "before");
    ck_assert_int_eq(fd_read_text(AT_FDCWD, "/dev/null/x", text, sizeof(text)), -ENOTDIR);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(boot)
{
    char id[BOOT_ID_MAX], again[BOOT_ID_MAX];
    ck_assert_int_eq(boot_id_read(id), 0);
    ck_assert_int_eq(boot_id_read(again), 0);
    ck_assert_uint_eq(strlen(id), 36);
    ck_assert_str_eq(id, again);
}
END_TEST

static pid_t start_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
        for (;;)
            pause();
    }
    ck_assert_int_gt(child, 0);
    return child;
}

START_TEST(processes)
{
    pid_t child = start_child();
    struct procfs_process process = {.pid = 0};
    struct procfs_stat stat;
    int pidfd = -1;
    ck_assert_int_eq(procfs_process_read(-1, child, &process, &pidfd), 0);
    ck_assert(process.pid == child && process.uid == getuid() && process.gid == getgid());
    ck_assert_int_eq(procfs_stat_read(-1, child, &stat), 0);
    ck_assert(stat.ppid == getpid() && stat.start == process.start && !procfs_stat_gone(&stat));
    ck_assert(stat.start <= procfs_ticks());
    ck_assert_int_eq(procfs_leader(-1, child), child);
    ck_assert(pidfd_lives(pidfd));

    ck_assert_int_eq(pidfd_send(pidfd, SIGKILL), 0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    ck_assert(!pidfd_lives(pidfd)); /* a zombie */
    ck_assert_int_eq(procfs_stat_read(-1, child, &stat), 0);
    ck_assert(procfs_stat_gone(&stat));
    ck_assert_int_eq(procfs_process_read(-1, child, &process, NULL), -ESRCH);
    waitpid(child, NULL, 0);
    ck_assert_int_eq(pidfd_send(pidfd, SIGTERM), -ESRCH);
    ck_assert_int_eq(procfs_stat_read(-1, child, &stat), -ESRCH);
    ck_assert_int_eq(pidfd_new(child), -ESRCH);
    fd_close(pidfd);
}
END_TEST

static void *stay(void *ready)
{
    if (write(*(int *)ready, "", 1) == 1)
        for (;;)
            pause();
    return NULL;
}

/* The first thread of a process can end long before the others. */
START_TEST(exiting)
{
    int ready[2];
    char byte;
    siginfo_t info;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pthread_create(&thread, NULL, stay, &ready[1]);
        pthread_exit(NULL);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    struct procfs_stat stat = {.pid = 0};
    while (!stat.exiting)
        ck_assert_int_eq(procfs_stat_read(-1, child, &stat), 0);
    ck_assert(!procfs_is_exiting(child));
    ck_assert(!procfs_is_exiting(getpid()));
    kill(child, SIGKILL);
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    ck_assert(procfs_is_exiting(child)); /* a zombie */
    waitpid(child, NULL, 0);
    ck_assert(procfs_is_exiting(child)); /* no process */
    fd_close(ready[0]);
    fd_close(ready[1]);
}
END_TEST

START_TEST(another_process_of_the_pid)
{
    struct procfs_process own = {.pid = 0};
    int pidfd = -1;
    ck_assert_int_eq(procfs_process_read(-1, getpid(), &own, NULL), 0);
    ck_assert_int_eq(procfs_process_reread(-1, &own, &pidfd), 0);
    pidfd = fd_close(pidfd);
    own.start++;
    ck_assert_int_eq(procfs_process_reread(-1, &own, &pidfd), -ESRCH);
    ck_assert_int_eq(pidfd, -1);
    own.start--;
    own.euid++;
    ck_assert_int_eq(procfs_process_reread(-1, &own, &pidfd), -EAGAIN);
    ck_assert_int_eq(pidfd, -1);
}
END_TEST

START_TEST(ids_and_groups)
{
    gid_t groups[NGROUPS_MAX];
    struct procfs_ids ids;
    int count = getgroups(NGROUPS_MAX, groups), proc = open("/proc", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(procfs_ids_read(proc, getpid(), &ids), 0);
    ck_assert(ids.uids[1] == geteuid() && ids.gids[1] == getegid());
    ck_assert_int_eq((int)ids.group_count, count);
    free(ids.groups);
    fd_close(proc);
}
END_TEST

START_TEST(a_line_of_mountinfo)
{
    char line[] = "36 35 98:0 /a\\040root /mnt\\011x rw,noatime master:1 shared:2 - fuse.chronosfs"
                  " a\\134b rw,user_id=7\n";
    char empty_source[] = "36 35 0:9 / /mnt rw - tmpfs  rw";
    struct mountinfo mount;
    ck_assert(mountinfo_parse(line, &mount));
    ck_assert(mount.id == 36 && mount.parent == 35);
    ck_assert_str_eq(mount.device, "98:0");
    ck_assert_str_eq(mount.root, "/a root");
    ck_assert_str_eq(mount.point, "/mnt\tx");
    ck_assert_str_eq(mount.type, "fuse.chronosfs");
    ck_assert_str_eq(mount.source, "a\\b");
    ck_assert_str_eq(mount.options, "rw,user_id=7");
    ck_assert(mountinfo_parse(empty_source, &mount));
    ck_assert_str_eq(mount.source, "");
    ck_assert_str_eq(mount.options, "rw");
}
END_TEST

START_TEST(no_line_of_mountinfo)
{
    const char *const lines[] = {"",
                                 "\n",
                                 " - ",
                                 "1 2 0:3 / / - tmpfs none rw",
                                 "1 2 0:3 / /mnt rw tmpfs none rw",
                                 "1 2 0:3 / /mnt rw - tmpfs",
                                 "1 2 0:3 / /mnt rw - tmpfs none"};
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        struct mountinfo mount;
        char line[128];
        strcpy(line, lines[i]);
        ck_assert_msg(!mountinfo_parse(line, &mount), "%s", lines[i]);
    }
}
END_TEST

/* Users choose the source and the subtype of a FUSE mount, so no number may come from there. */
START_TEST(a_number_of_a_mount)
{
    static const struct {
        const char *source, *options;
        long owner; /* -1: none */
    } rows[] = {{"chronos", "rw,user_id=6101,group_id=0", 6101},
                {"user_id=0", "rw,user_id=6101", 6101},
                {"x,user_id=0,", "rw,user_id=6101", 6101},
                {"user_id=0", "rw", -1},
                {"a", "rw,context=user_id=0,user_id=6101", 6101},
                {"a", "rw,other_user_id=0,user_id=6101", 6101},
                {"a", "rw,user_id", -1},
                {"a", "rw,user_id=", -1},
                {"a", "rw,user_id=0x1", -1},
                {"a", "rw,user_id=-1", -1},
                {"a", "user_id=4294967294", 4294967294},
                {"a", "user_id=42949672940", -1},
                {"a", ",,user_id=7,", 7}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char line[256];
        struct mountinfo mount;
        unsigned long owner = 99;
        snprintf(line, sizeof(line), "1 2 0:3 / /m rw - fuse.chronosfs %s %s\n", rows[i].source,
                 rows[i].options);
        ck_assert(mountinfo_parse(line, &mount));
        bool found = mountinfo_number(&mount, "user_id", &owner);
        ck_assert_msg(found == (rows[i].owner >= 0), "%s", rows[i].options);
        ck_assert_int_eq((long)owner, found ? rows[i].owner : 99);
    }
}
END_TEST

START_TEST(escapes_of_mountinfo)
{
    char line[] = "1 2 0:3 / /m\\7\\12\\x41\\\\134\\ rw - tmpfs a\\1 rw";
    struct mountinfo mount;
    ck_assert(mountinfo_parse(line, &mount));
    ck_assert_str_eq(mount.point, "/m\\7\\12\\x41\\\\\\");
    ck_assert_str_eq(mount.source, "a\\1");
}
END_TEST

/* All groups of a process, whole numbers each, however long the line is. Needs root. */
START_TEST(many_groups)
{
    enum { GROUPS = 65536 }; /* the kernel's limit */
    static gid_t groups[GROUPS];
    int status, pipes[2];
    char byte;
    ck_assert_int_eq(pipe(pipes), 0);
    for (gid_t i = 0; i < GROUPS; i++)
        groups[i] = 100000 + i;
    pid_t child = fork();
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        byte = setgroups(GROUPS, groups) ? '0' : '1';
        if (write(pipes[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    struct procfs_ids ids = {.groups = NULL};
    int r = procfs_ids_read(-1, child, &ids);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ck_assert_int_eq(r, 0);
    if (byte == '1') {
        ck_assert_uint_eq(ids.group_count, GROUPS);
        ck_assert_int_eq(memcmp(ids.groups, groups, sizeof(groups)), 0);
    }
    free(ids.groups);
    fd_close(pipes[0]);
    fd_close(pipes[1]);
}
END_TEST

static int refusal_of(long number)
{
    return syscall(number, 0, 0, 0, 0, 0, 0) < 0 ? errno : 0;
}

/* In a child: what is given up cannot be had again, and the rest works. */
START_TEST(confined)
{
    pid_t child = fork();
    if (child == 0) {
        confine_no_new_privileges();
        if (confine_calls(false) || refusal_of(SYS_init_module) != EPERM ||
            refusal_of(SYS_bpf) != EPERM || refusal_of(SYS_io_uring_setup) != EPERM ||
            refusal_of(SYS_unshare) == EPERM)
            _exit(1);
        if (confine_calls(true) || refusal_of(SYS_unshare) != EPERM ||
            refusal_of(SYS_mount) != EPERM || refusal_of(SYS_getppid) != 0)
            _exit(2);
        if (confine_capabilities(0, 0) || setgroups(0, NULL) == 0)
            _exit(3);
        int fd = open("/proc/self/status", O_RDONLY);
        _exit(fd < 0 ? 4 : 0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(what_is_mounted)
{
    struct mountinfo_reader reader;
    struct mountinfo mount;
    bool root = false, proc = false;
    ck_assert_int_eq(mountinfo_open(&reader, -1), 0);
    while (mountinfo_next(&reader, &mount)) {
        root |= strcmp(mount.point, "/") == 0;
        proc |= strcmp(mount.point, "/proc") == 0 && strcmp(mount.type, "proc") == 0;
    }
    mountinfo_close(&reader);
    ck_assert(root && proc);
}
END_TEST

int main(void)
{
    return check_main("machine", NULL, NULL, clocks_go_forward, descriptors, boot, processes,
                      exiting, another_process_of_the_pid, ids_and_groups, a_line_of_mountinfo,
                      a_number_of_a_mount, escapes_of_mountinfo, no_line_of_mountinfo, many_groups,
                      confined, what_is_mounted);
}
