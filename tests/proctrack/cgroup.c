/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the cgroup adapter promises: where a member goes, that it cannot leave, that
 * limits above still count, that a pid given out again while we move it harms nobody,
 * and what is told when cgroups cannot be used.
 */
#include "help.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct proctrack *proctrack;
static struct message why;
static struct proctrack_options options;

static void setup(void)
{
    help_begin();
    options = (struct proctrack_options){
        .instance = help_instance, .state_dir = help_directory, .mode = "cgroup"};
}

static void teardown(void)
{
    proctrack = proctrack_close(proctrack);
    help_end();
}

static void begin(void)
{
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

static void put(const char *path, pid_t pid)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    ck_assert_int_eq(help_write(path, "cgroup.procs", text), 0);
}

/* What is delegated to a user: the directory and the file that moves. */
static void hand_over(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    char full[2 * PATH_MAX];
    snprintf(full, sizeof(full), "%s/%s", help_cgroup(), path);
    ck_assert_int_eq(chown(full, uid, gid), 0);
    strcat(full, "/cgroup.procs");
    ck_assert_int_eq(chown(full, uid, gid), 0);
    ck_assert_int_eq(chmod(full, mode), 0);
}

/* A process of `uid` in cgroup `path` joins p1; its leaf must be right below `parent`. */
static pid_t leaf_goes_to(uid_t uid, const char *path, const char *parent)
{
    char is[PATH_MAX], should[2 * PATH_MAX];
    pid_t pid = puppet_start(uid);
    put(path, pid);
    join(1, pid);
    help_cgroup_of(pid, is, sizeof(is));
    snprintf(should, sizeof(should), "%s%schronosfs-%s-p1", parent, parent[0] == '\0' ? "" : "/",
             help_instance);
    ck_assert_str_eq(is, should);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 1);
    return pid;
}

static void end_all(uint64_t id)
{
    EVENTUALLY((proctrack_kill(proctrack, id), proctrack_forget(proctrack, id) == 0));
}

START_TEST(climbs)
{
    char top[PATH_MAX], users[PATH_MAX], app[PATH_MAX], odd[PATH_MAX];
    begin();
    strcpy(top, help_cgroup_make("top"));
    strcpy(users, help_cgroup_make("top/users"));
    strcpy(app, help_cgroup_make("top/users/app"));
    strcpy(odd, help_cgroup_make("top/users/app/odd"));

    /* nothing is delegated: where it is */
    leaf_goes_to(ALICE, app, app);
    leaf_goes_to(0, app, app);
    end_all(1);
    /* delegated to alice: above all of hers, also from one below that is root's */
    hand_over(users, ALICE, 0, 0644);
    hand_over(app, ALICE, 0, 0644);
    leaf_goes_to(ALICE, app, top);
    leaf_goes_to(ALICE, odd, top);
    leaf_goes_to(BOB, app, app);
    leaf_goes_to(0, app, top); /* alice could move root's too */
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 4);
    end_all(1);
    /* by group, and for everybody; an owner who may not write can change that */
    hand_over(app, 0, BOB, 0664);
    leaf_goes_to(BOB, app, users);
    leaf_goes_to(BOB, odd, users);
    hand_over(app, 0, 0, 0666);
    leaf_goes_to(BOB, app, users);
    hand_over(app, 0, BOB, 0644);
    leaf_goes_to(BOB, app, app);
    hand_over(app, BOB, 0, 0444);
    leaf_goes_to(BOB, app, users);
    leaf_goes_to(0, users, top);
    end_all(1);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
}
END_TEST

START_TEST(threaded_cgroups_take_no_leaf)
{
    char top[PATH_MAX], inner[PATH_MAX];
    begin();
    strcpy(top, help_cgroup_make("top"));
    strcpy(inner, help_cgroup_make("top/inner"));
    char below[PATH_MAX];
    strcpy(below, help_cgroup_make("top/inner/below"));
    ck_assert_int_eq(help_write(below, "cgroup.type", "threaded"), 0);
    leaf_goes_to(ALICE, inner, top);
    end_all(1);
}
END_TEST

START_TEST(nobody_leaves)
{
    char home[PATH_MAX], other[PATH_MAX], to_home[2 * PATH_MAX], to_other[2 * PATH_MAX], text[16];
    begin();
    strcpy(home, help_cgroup_make("user/home"));
    strcpy(other, help_cgroup_make("user/other"));
    const char *user = help_cgroup_make("user");
    hand_over(user, ALICE, ALICE, 0644);
    hand_over(home, ALICE, ALICE, 0644);
    hand_over(other, ALICE, ALICE, 0644);
    snprintf(to_home, sizeof(to_home), "%s/%s/cgroup.procs", help_cgroup(), home);
    snprintf(to_other, sizeof(to_other), "%s/%s/cgroup.procs", help_cgroup(), other);
    pid_t member = puppet_start(ALICE), outside = puppet_start(ALICE);
    put(home, member);
    put(home, outside);
    /* before: she goes where she likes */
    snprintf(text, sizeof(text), "%d", member);
    ck_assert_int_eq(puppet_write(member, to_other, text), 0);
    ck_assert_int_eq(puppet_write(outside, to_home, text), 0);
    join(1, member);
    pid_t away = puppet_fork_away(member), child = puppet_fork(member);
    ck_assert_int_eq(puppet_setsid(child), 0);
    /* now neither she nor anybody of hers, from inside or outside */
    ck_assert_int_eq(puppet_write(member, to_home, text), -EACCES);
    ck_assert_int_eq(puppet_write(member, to_other, "0"), -EACCES);
    ck_assert_int_eq(puppet_write(outside, to_home, text), -EACCES);
    ck_assert_int_eq(puppet_write(child, to_home, "0"), -EACCES);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, member), 1);
    /* not even a child in another session whose parents are gone */
    ck_assert_uint_eq(proctrack_partition_of(proctrack, away), 1);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, child), 1);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 3);
    /* nor does anybody come in that way */
    char leaf[PATH_MAX], into[3 * PATH_MAX];
    help_cgroup_of(member, leaf, sizeof(leaf));
    snprintf(into, sizeof(into), "%s/%s/cgroup.procs", help_cgroup(), leaf);
    ck_assert_int_eq(puppet_write(outside, into, "0"), -EACCES);
    end_all(1);
    ck_assert(!puppet_alive(away) && puppet_alive(outside));
}
END_TEST

START_TEST(partitions_are_not_nested)
{
    char top[PATH_MAX], inner[4 * PATH_MAX], path[PATH_MAX], should[2 * PATH_MAX];
    begin();
    strcpy(top, help_cgroup_make("top"));
    pid_t pid = leaf_goes_to(ALICE, top, top);
    /* root may divide a leaf: its members still are members */
    help_cgroup_of(pid, path, sizeof(path));
    snprintf(inner, sizeof(inner), "%s/%s/inner", help_cgroup(), path);
    ck_assert_int_eq(mkdir(inner, 0755), 0);
    snprintf(inner, sizeof(inner), "%s/inner", path);
    put(inner, pid);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 1);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    join(2, pid);
    help_cgroup_of(pid, path, sizeof(path));
    snprintf(should, sizeof(should), "%s/chronosfs-%s-p2", top, help_instance);
    ck_assert_str_eq(path, should);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), 0);
    ck_assert_int_eq(help_cgroup_count(help_instance), 1);
    end_all(2);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
}
END_TEST

/* A limit set above goes on to count. */
START_TEST(limits_above_count)
{
    char top[PATH_MAX], text[256];
    begin();
    help_read("", "cgroup.controllers", text, sizeof(text));
    strcpy(top, help_cgroup_make("top"));
    char above[PATH_MAX];
    strcpy(above, top);
    *strrchr(above, '/') = '\0';
    if (strstr(text, "pids") == NULL || help_write("", "cgroup.subtree_control", "+pids") != 0 ||
        help_write(above, "cgroup.subtree_control", "+pids") != 0) {
        printf("not tried: pids.max: there is no controller pids in %s\n", help_cgroup());
        return;
    }
    ck_assert_int_eq(help_write(top, "pids.max", "3"), 0);
    pid_t pid = leaf_goes_to(ALICE, top, top);
    ck_assert_int_gt(puppet_fork(pid), 0);
    ck_assert_int_gt(puppet_fork(pid), 0);
    ck_assert_int_eq(puppet_fork(pid), -EAGAIN);
    end_all(1);
}
END_TEST

START_TEST(cgroups_that_may_not_be_made)
{
    char top[PATH_MAX];
    begin();
    strcpy(top, help_cgroup_make("top"));
    ck_assert_int_eq(help_write(top, "cgroup.max.descendants", "0"), 0);
    pid_t pid = puppet_start(ALICE);
    put(top, pid);
    ck_assert_int_eq(join_rc(1, pid), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(why.text, "cgroup.max.descendants"));
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
}
END_TEST

/* Who was given a part of the tree can make a cgroup with our name in it. */
START_TEST(somebody_elses_cgroup)
{
    char home[PATH_MAX], fake[2 * PATH_MAX], full[3 * PATH_MAX];
    begin();
    strcpy(home, help_cgroup_make("home"));
    snprintf(fake, sizeof(fake), "%s/chronosfs-%s-p1", home, help_instance);
    snprintf(full, sizeof(full), "%s/%s", help_cgroup(), fake);
    ck_assert_int_eq(mkdir(full, 0755), 0);
    hand_over(fake, ALICE, ALICE, 0644);
    pid_t pid = puppet_start(ALICE), other = puppet_start(BOB);
    put(fake, pid);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 0);
    proctrack = proctrack_close(proctrack);
    begin();
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    put(home, other);
    ck_assert_int_eq(join_rc(1, other), -EEXIST);
    ck_assert_uint_gt(strlen(why.text), 30);
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
    help_nap();
    ck_assert(puppet_alive(pid));
}
END_TEST

START_TEST(names_that_are_not_ours)
{
    static const char *const names[] = {
        "p0",   "p01", "p", "p1x", "p-1", "p18446744073709551616", "p99999999999999999999",
        "test", "q1"};
    char name[128], path[PATH_MAX];
    begin();
    pid_t pid = puppet_start(ALICE);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(name, sizeof(name), "chronosfs-%s-%s", help_instance, names[i]);
        strcpy(path, help_cgroup_make(name));
        put(path, pid);
        ck_assert_msg(proctrack_partition_of(proctrack, pid) == 0, "%s", name);
    }
    proctrack = proctrack_close(proctrack);
    begin();
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    snprintf(name, sizeof(name), "chronosfs-%s-p18446744073709551615", help_instance);
    put(help_cgroup_make(name), pid);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), UINT64_MAX);
}
END_TEST

/* A user with a part of the tree can make this; the others' cgroups are found anyway. */
START_TEST(paths_that_are_too_long)
{
    char top[PATH_MAX], name[256], full[2 * PATH_MAX];
    size_t wanted = PATH_MAX - 2;
    begin();
    strcpy(top, help_cgroup_make("top"));
    pid_t pid = leaf_goes_to(ALICE, top, top);
    snprintf(full, sizeof(full), "%s/%s", help_cgroup(), top);
    ck_assert_int_eq(chdir(full), 0);
    for (size_t length = strlen(top); length < wanted;) {
        size_t size = wanted - length - 1 > 300 ? 200 : wanted - length - 1;
        size = size > 200 ? size / 2 : size;
        snprintf(name, sizeof(name), "%0*d", (int)size, 0);
        ck_assert_int_eq(mkdir(name, 0755), 0);
        ck_assert_int_eq(chdir(name), 0);
        length += 1 + size;
    }
    proctrack = proctrack_close(proctrack);
    int rc = proctrack_open(&options, &proctrack, &why);
    for (char at[PATH_MAX]; chdir("..") == 0;) { /* the deepest first */
        DIR *directory = opendir(".");
        bool any = false;
        for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
            any |= entry->d_name[0] == '0' && rmdir(entry->d_name) == 0;
        if (directory != NULL)
            closedir(directory);
        if (!any || (getcwd(at, sizeof(at)) != NULL && strcmp(at, full) == 0))
            break;
    }
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_msg(rc == 0, "%s", why.text);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 1);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
}
END_TEST

START_TEST(others_remove_what_is_empty)
{
    char top[PATH_MAX], leaf[2 * PATH_MAX];
    begin();
    strcpy(top, help_cgroup_make("top"));
    pid_t pid = leaf_goes_to(ALICE, top, top);
    snprintf(leaf, sizeof(leaf), "%s/%s/chronosfs-%s-p1", help_cgroup(), top, help_instance);
    put(top, pid);
    ck_assert_int_eq(rmdir(leaf), 0);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(proctrack_kill(proctrack, 1), 0);
    ck_assert_int_eq(proctrack_freeze(proctrack, 1, true), 0);
    ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR1, NULL), 0);
    join(1, pid);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, pid), 1);
    put(top, pid);
    ck_assert_int_eq(rmdir(leaf), 0);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
}
END_TEST

START_TEST(a_frozen_partition_from_many_places)
{
    char one[PATH_MAX], two[PATH_MAX], three[PATH_MAX];
    begin();
    strcpy(three, help_cgroup_make("three"));
    strcpy(one, help_cgroup_make("one"));
    strcpy(two, help_cgroup_make("two"));
    leaf_goes_to(ALICE, one, one);
    ck_assert_int_eq(proctrack_freeze(proctrack, 1, true), 0);
    pid_t late = leaf_goes_to(ALICE, two, two), gone = leaf_goes_to(ALICE, three, three);
    kill(gone, SIGKILL);
    EVENTUALLY(!puppet_alive(gone));
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    ck_assert_int_eq(help_cgroup_count(help_instance), 3); /* all or nothing */
    ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR1, NULL), 0);
    usleep(50000);
    ck_assert_uint_eq(puppet_signals(late, SIGUSR1), 0);
    ck_assert_int_eq(proctrack_freeze(proctrack, 1, false), 0);
    EVENTUALLY(puppet_signals(late, SIGUSR1) == 1);
    end_all(1);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
}
END_TEST

/* -- a pid that is given out again while we move it --------------------------------------- */

static const char *when;
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
    options.steps.before = on_step;
    begin();
    when = steps[_i];
    with_child = _i == 1;
    strcpy(home, help_cgroup_make("home"));
    victim = puppet_start(ALICE);
    put(home, victim);
    help_cgroup_of(getpid(), before, sizeof(before));
    ck_assert_int_eq(join_rc(1, victim), -ESRCH);
    /* the other one is where it began: with its parent */
    ck_assert_uint_eq(proctrack_partition_of(proctrack, victim), 0);
    help_cgroup_of(victim, after, sizeof(after));
    ck_assert_str_eq(after, before);
    if (with_child) {
        help_cgroup_of(child_of_other, after, sizeof(after));
        ck_assert_str_eq(after, before);
    }
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
    ck_assert(puppet_alive(victim));
}
END_TEST

START_TEST(given_out_again_in_a_signal)
{
    uint32_t count = 7;
    options.steps.before = on_step;
    begin();
    when = "signal";
    with_child = false;
    victim = puppet_start(ALICE);
    join(1, victim);
    ck_assert_int_eq(proctrack_signal(proctrack, 1, SIGUSR1, &count), 0);
    ck_assert_uint_eq(count, 0);
    usleep(20000);
    ck_assert_uint_eq(puppet_signals(victim, SIGUSR1), 0);
    ck_assert(puppet_alive(victim));
}
END_TEST

START_TEST(no_first_thread)
{
    begin();
    pid_t pid = puppet_start(ALICE);
    puppet_end_first_thread(pid);
    ck_assert_int_eq(join_rc(1, pid), -EOPNOTSUPP);
    ck_assert_ptr_nonnull(strstr(why.text, "first thread"));
    ck_assert_int_eq(help_cgroup_count(help_instance), 0);
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
    options.supervisor = supervisor;
    begin();
    ck_assert_uint_eq(proctrack_partition_of(proctrack, getpid()), 0);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, supervisor), 0);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), 0);
}
END_TEST

/* -- what is told when it cannot be used --------------------------------------------------- */

static void falls_back(const char *word)
{
    options.mode = "cgroup";
    ck_assert_int_ne(proctrack_open(&options, &proctrack, &why), 0);
    ck_assert_msg(strstr(why.text, word) != NULL, "%s", why.text);
    options.mode = "auto";
    begin();
    ck_assert_str_eq(why.text, "");
    ck_assert_str_eq(proctrack_word(proctrack), "process-tree");
    ck_assert_msg(strstr(proctrack_why(proctrack), word) != NULL, "%s", proctrack_why(proctrack));
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
    options.cgroup = path;
    falls_back("read-only");
    umount2(path, MNT_DETACH);
}
END_TEST

START_TEST(not_mounted)
{
    char path[PATH_MAX + 16];
    mount_here(path);
    options.cgroup = path;
    falls_back("no mount of cgroup v2");
    proctrack = proctrack_close(proctrack);
    options.cgroup = NULL;
    options.mode = "auto";
    begin();
    ck_assert_str_eq(proctrack_word(proctrack), "cgroup");
    ck_assert_str_eq(proctrack_why(proctrack), "");
    proctrack = proctrack_close(proctrack);
    for (int i = 0; i < 20 && proctrack == NULL; i++) { /* one may lie over another */
        umount2(help_cgroup(), MNT_DETACH);
        options.mode = "cgroup";
        if (proctrack_open(&options, &proctrack, &why) != 0)
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
    ck_assert_int_eq(help_cgroup_count(help_instance), 0); /* the try left nothing */
}
END_TEST

START_TEST(not_root)
{
    ck_assert_int_eq(chown(help_directory, ALICE, ALICE), 0);
    ck_assert_int_eq(setresuid(ALICE, ALICE, ALICE), 0);
    falls_back("root");
}
END_TEST

/* What is outside of the daemon's cgroup namespace cannot be moved from there. */
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
    options.cgroup = path;
    begin();
    pid_t in = puppet_start(ALICE);
    join(1, in);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, in), 1);
    ck_assert_int_eq(join_rc(1, out), -EXDEV);
    ck_assert_uint_gt(strlen(why.text), 30);
    ck_assert_uint_eq(proctrack_partition_of(proctrack, out), 0);
    end_all(1);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("enforcer-cgroup");
    TCase *all = tcase_create("cgroup");
    const TTest *const tests[] = {climbs,
                                  threaded_cgroups_take_no_leaf,
                                  nobody_leaves,
                                  partitions_are_not_nested,
                                  limits_above_count,
                                  cgroups_that_may_not_be_made,
                                  somebody_elses_cgroup,
                                  names_that_are_not_ours,
                                  others_remove_what_is_empty,
                                  paths_that_are_too_long,
                                  a_frozen_partition_from_many_places,
                                  given_out_again_in_a_signal,
                                  no_first_thread,
                                  the_daemon_steps_out,
                                  read_only,
                                  not_mounted,
                                  too_old,
                                  not_root,
                                  another_namespace};
    tcase_add_checked_fixture(all, setup, teardown);
    if (help_cgroup() != NULL && geteuid() == 0) {
        for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
            tcase_add_test(all, tests[i]);
        tcase_add_loop_test(all, given_out_again_in_a_join, 0, 3);
    }
    tcase_set_timeout(all, 120);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
