/* SPDX-License-Identifier: Apache-2.0 */
/* Where cgroups cannot be used, or several mounts of them can. */
#include "help.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void setup(void)
{
    help_begin_mode("cgroup");
}

static int opens(void)
{
    proctrack = proctrack_close(proctrack);
    return proctrack_open(&help_options, &proctrack, &why);
}

static void falls_back(const char *word)
{
    help_options.mode = "cgroup";
    EVENTUALLY(opens() != 0); /* a machine that is busy may not know in time */
    ck_assert_msg(strstr(why.text, word), "%s", why.text);
    help_options.mode = "auto";
    help_open();
    ck_assert_str_eq(why.text, "");
    ck_assert_str_eq(proctrack_word(proctrack), "process-tree");
    ck_assert_msg(strstr(proctrack_why(proctrack), word), "%s", proctrack_why(proctrack));
    ck_assert_ptr_null(strchr(proctrack_why(proctrack), '\n'));
}

static void mount_here(char path[static PATH_MAX + 16])
{
    snprintf(path, PATH_MAX + 16, "%s/mount", help_directory);
    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

START_TEST(read_only)
{
    char path[PATH_MAX + 16];
    mount_here(path);
    ck_assert_int_eq(mount(help_cgroup(), path, NULL, MS_BIND, NULL), 0);
    ck_assert_int_eq(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    help_options.cgroup = path;
    falls_back("read-only");
    umount2(path, MNT_DETACH);
}
END_TEST

START_TEST(not_mounted)
{
    char path[PATH_MAX + 16];
    mount_here(path);
    help_options.cgroup = path;
    falls_back("not a mount of cgroup v2");
    proctrack = proctrack_close(proctrack);
    help_options.cgroup = NULL;
    help_options.mode = "auto";
    help_open();
    ck_assert_str_eq(proctrack_word(proctrack), "cgroup");
    ck_assert_str_eq(proctrack_why(proctrack), "");
    proctrack = proctrack_close(proctrack);
    for (int i = 0; i < 20 && !proctrack; i++) { /* one may lie over another */
        umount2(help_cgroup(), MNT_DETACH);
        help_options.mode = "cgroup";
        if (proctrack_open(&help_options, &proctrack, &why) != 0)
            break;
        proctrack = proctrack_close(proctrack);
    }
    falls_back("not mounted");
}
END_TEST

/* An older kernel: cgroups without cgroup.kill. */
START_TEST(too_old)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_faccessat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_faccessat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOENT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    falls_back("cgroup.kill");
    ck_assert_ptr_nonnull(strstr(proctrack_why(proctrack), "5.14"));
    EVENTUALLY(help_cgroup_count(help_instance) == 0); /* the attempt left nothing behind */
}
END_TEST

START_TEST(not_root)
{
    ck_assert_int_eq(chown(help_directory, ALICE, ALICE), 0);
    ck_assert_int_eq(setresuid(ALICE, ALICE, ALICE), 0);
    falls_back("root");
}
END_TEST

/* A process outside the cgroup namespace of the daemon cannot be moved. */
START_TEST(another_namespace)
{
    char inside[PATH_MAX], path[PATH_MAX + 16];
    pid_t out = puppet_start(ALICE);
    put(help_cgroup_make("out"), out);
    strcpy(inside, help_cgroup_make("inside"));
    put(inside, getpid());
    ck_assert_int_eq(unshare(CLONE_NEWCGROUP), 0);
    mount_here(path);
    ck_assert_int_eq(mount("cgroup2", path, "cgroup2", 0, NULL), 0);
    help_options.cgroup = path;
    help_open();
    pid_t in = puppet_start(ALICE);
    join(1, in);
    ck_assert_uint_eq(partition_in(proctrack, in), 1);
    ck_assert_int_eq(join_rc(1, out), -EXDEV);
    ck_assert_uint_gt(strlen(why.text), 30);
    ck_assert_uint_eq(partition_in(proctrack, out), 0);
    end_all(1);
}
END_TEST

/* A mount of the cgroup `part` of the help mount, or of all of it (""). */
static void bind(const char *part, const char *point)
{
    char from[2 * PATH_MAX];
    snprintf(from, sizeof(from), "%s/%s", help_cgroup(), part);
    ck_assert_int_eq(mount(from, point, NULL, MS_BIND, NULL), 0);
}

/* The mount that the daemon uses shows processes that are where this one is. */
static void sees_us(void)
{
    pid_t out = puppet_start(ALICE);
    help_options.mode = "cgroup";
    help_open();
    ck_assert_msg(join_rc(1, out) == 0, "%s", why.text);
    ck_assert_uint_eq(partition_in(proctrack, out), 1);
    end_all(1);
}

/* Of several mounts the one that shows most is used, wherever it is in the list. */
START_TEST(shows_most)
{
    char part[PATH_MAX + 16], whole[PATH_MAX + 16];
    snprintf(whole, sizeof(whole), "%s/whole", help_directory);
    ck_assert_int_eq(mkdir(whole, 0755), 0);
    mount_here(part);
    bind(help_cgroup_make("part"), part);
    bind("", whole);
    ck_assert_int_eq(umount2(help_cgroup(), MNT_DETACH), 0);
    sees_us();
}
END_TEST

/* What covers the mount is not taken for it. */
START_TEST(covered)
{
    char point[PATH_MAX + 16], whole[PATH_MAX + 16];
    snprintf(whole, sizeof(whole), "%s/whole", help_directory);
    ck_assert_int_eq(mkdir(whole, 0755), 0);
    mount_here(point);
    bind("", point);
    bind(help_cgroup_make("part"), point);
    bind("", whole);
    ck_assert_int_eq(umount2(help_cgroup(), MNT_DETACH), 0);
    sees_us();
    proctrack = proctrack_close(proctrack);
    ck_assert_int_eq(umount2(whole, MNT_DETACH), 0);
    help_options.cgroup = point;
    help_open(); /* a part is better than none */
    ck_assert_str_eq(proctrack_word(proctrack), "cgroup");
}
END_TEST

/* A mount of another cgroup namespace, in which our processes have no path. */
START_TEST(outside)
{
    char point[PATH_MAX + 16], whole[PATH_MAX + 16];
    snprintf(whole, sizeof(whole), "%s/whole", help_directory);
    ck_assert_int_eq(mkdir(whole, 0755), 0);
    mount_here(point);
    put(help_cgroup_make("inside"), getpid());
    ck_assert_int_eq(unshare(CLONE_NEWCGROUP), 0);
    bind("", whole); /* "/../.." */
    put(help_cgroup_make("inside/a-longer-part"), getpid());
    bind(help_cgroup_make("inside/a-longer-part"), point);
    ck_assert_int_eq(umount2(help_cgroup(), MNT_DETACH), 0);
    sees_us();
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {read_only, not_mounted,       too_old,    not_root,
                                  covered,   another_namespace, shows_most, outside};
    return help_cgroup_case("cgroup-unusable", setup, tests, ARRAY_COUNT(tests));
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
