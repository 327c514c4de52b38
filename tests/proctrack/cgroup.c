/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of the cgroup adapter alone: the place of a member, that it cannot leave, that
 * limits above still count, that recycled pids are not moved by mistake, and errors.
 */
#include "core/proctrack/cgroup.h"
#include "help.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void setup(void)
{
    help_begin_mode("cgroup");
}

/* Delegates a cgroup to a user: the directory and cgroup.procs. */
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
    ck_assert_int_eq(strncmp(is, should, strlen(should)), 0);
    ck_assert(strchr(".", is[strlen(should)])); /* the end, or more for a second origin */
    ck_assert_uint_eq(partition_in(proctrack, pid), 1);
    return pid;
}

#define SUB_UID 100000 /* a subordinate uid of alice */

START_TEST(climbs)
{
    char top[PATH_MAX], users[PATH_MAX], app[PATH_MAX], odd[PATH_MAX];
    help_open();
    strcpy(top, help_cgroup_make("top"));
    strcpy(users, help_cgroup_make("top/users"));
    strcpy(app, help_cgroup_make("top/users/app"));
    strcpy(odd, help_cgroup_make("top/users/app/odd"));

    /* nothing is delegated: in its own cgroup */
    leaf_goes_to(ALICE, app, app);
    leaf_goes_to(0, app, app);
    end_all(1);
    /* delegated to alice: above all of hers, also from one below that is root's */
    hand_over(users, ALICE, 0, 0644);
    hand_over(app, ALICE, 0, 0644);
    leaf_goes_to(ALICE, app, top);
    leaf_goes_to(ALICE, odd, top);
    leaf_goes_to(BOB, app, top); /* alice could move his, and root's */
    leaf_goes_to(0, app, top);
    leaf_goes_to(SUB_UID, app, top);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 5);
    end_all(1);
    /* by group, for all users, and by an owner without write permission, who can grant it */
    hand_over(users, 0, 0, 0644);
    hand_over(app, 0, BOB, 0664);
    leaf_goes_to(BOB, odd, users);
    hand_over(app, 0, 0, 0666);
    leaf_goes_to(BOB, app, users);
    end_all(1);
    hand_over(app, 0, BOB, 0644);
    leaf_goes_to(BOB, app, app);
    end_all(1);
    hand_over(app, BOB, 0, 0444);
    leaf_goes_to(ALICE, app, users);
    leaf_goes_to(BOB, app, users);
    /* given away while there is a leaf: later members are above it */
    hand_over(users, ALICE, 0, 0644);
    leaf_goes_to(0, users, top);
    leaf_goes_to(BOB, app, top);
    end_all(1);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

START_TEST(threaded_cgroups_take_no_leaf)
{
    char top[PATH_MAX], inner[PATH_MAX];
    help_open();
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
    help_open();
    strcpy(home, help_cgroup_make("user/home"));
    strcpy(other, help_cgroup_make("user/other"));
    const char *user = help_cgroup_make("user");
    hand_over(user, ALICE, ALICE, 0644);
    hand_over(home, ALICE, ALICE, 0644);
    hand_over(other, ALICE, ALICE, 0644);
    snprintf(to_home, sizeof(to_home), "%s/%s/cgroup.procs", help_cgroup(), home);
    snprintf(to_other, sizeof(to_other), "%s/%s/cgroup.procs", help_cgroup(), other);
    pid_t member = puppet_start(ALICE), outside = puppet_start(ALICE);
    pid_t mapped = puppet_start(SUB_UID); /* as newuidmap lets her start one */
    put(home, member);
    put(home, mapped);
    put(home, outside);
    /* before: she moves it freely */
    snprintf(text, sizeof(text), "%d", member);
    ck_assert_int_eq(puppet_write(member, to_other, text), 0);
    ck_assert_int_eq(puppet_write(outside, to_home, text), 0);
    join(1, member);
    pid_t away = puppet_fork_away(member), child = puppet_fork(member);
    ck_assert_int_eq(puppet_setsid(child), 0);
    /* now neither she nor any process of hers can, from inside or outside */
    ck_assert_int_eq(puppet_write(member, to_home, text), -EACCES);
    ck_assert_int_eq(puppet_write(member, to_other, "0"), -EACCES);
    ck_assert_int_eq(puppet_write(outside, to_home, text), -EACCES);
    ck_assert_int_eq(puppet_write(child, to_home, "0"), -EACCES);
    ck_assert_uint_eq(partition_in(proctrack, member), 1);
    /* not even a child in another session whose parents are gone */
    ck_assert_uint_eq(partition_in(proctrack, away), 1);
    ck_assert_uint_eq(partition_in(proctrack, child), 1);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 3);
    /* nor a program of hers under another uid */
    join(1, mapped);
    snprintf(text, sizeof(text), "%d", mapped);
    ck_assert_int_eq(puppet_write(outside, to_other, text), -EACCES);
    ck_assert_int_eq(puppet_write(mapped, to_other, "0"), -EACCES);
    ck_assert_uint_eq(partition_in(proctrack, mapped), 1);
    /* no other process can enter either */
    char leaf[PATH_MAX], into[3 * PATH_MAX];
    help_cgroup_of(member, leaf, sizeof(leaf));
    snprintf(into, sizeof(into), "%s/%s/cgroup.procs", help_cgroup(), leaf);
    ck_assert_int_eq(puppet_write(outside, into, "0"), -EACCES);
    end_all(1);
    ck_assert(!puppet_alive(away) && !puppet_alive(mapped) && puppet_alive(outside));
}
END_TEST

START_TEST(partitions_are_not_nested)
{
    char top[PATH_MAX], inner[4 * PATH_MAX], path[PATH_MAX], should[2 * PATH_MAX];
    help_open();
    strcpy(top, help_cgroup_make("top"));
    pid_t pid = leaf_goes_to(ALICE, top, top);
    /* root may divide a leaf: its members remain members */
    help_cgroup_of(pid, path, sizeof(path));
    snprintf(inner, sizeof(inner), "%s/%s/inner", help_cgroup(), path);
    ck_assert_int_eq(mkdir(inner, 0755), 0);
    snprintf(inner, sizeof(inner), "%s/inner", path);
    put(inner, pid);
    ck_assert_uint_eq(partition_in(proctrack, pid), 1);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    join(2, pid);
    help_cgroup_of(pid, path, sizeof(path));
    snprintf(should, sizeof(should), "%s/chronosfs-%s-p2", top, help_instance);
    ck_assert_str_eq(path, should);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(help_cgroup_count(help_instance), 1);
    end_all(2);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

/* A limit set above still counts. */
START_TEST(limits_above_count)
{
    char top[PATH_MAX], text[256];
    help_open();
    help_read("", "cgroup.controllers", text, sizeof(text));
    strcpy(top, help_cgroup_make("top"));
    char above[PATH_MAX];
    strcpy(above, top);
    *strrchr(above, '/') = '\0';
    if (!strstr(text, "pids") || help_write("", "cgroup.subtree_control", "+pids") != 0 ||
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
    help_open();
    strcpy(top, help_cgroup_make("top"));
    ck_assert_int_eq(help_write(top, "cgroup.max.descendants", "0"), 0);
    pid_t pid = puppet_start(ALICE);
    put(top, pid);
    ck_assert_int_eq(join_rc(1, pid), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(why.text, "cgroup.max.descendants"));
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
}
END_TEST

/* The owner of a delegated cgroup can make one with a name of ours in it. */
START_TEST(somebody_elses_cgroup)
{
    char home[PATH_MAX], fake[2 * PATH_MAX], full[3 * PATH_MAX];
    help_open();
    strcpy(home, help_cgroup_make("home"));
    snprintf(fake, sizeof(fake), "%s/chronosfs-%s-p1", home, help_instance);
    snprintf(full, sizeof(full), "%s/%s", help_cgroup(), fake);
    ck_assert_int_eq(mkdir(full, 0755), 0);
    hand_over(fake, ALICE, ALICE, 0644);
    pid_t pid = puppet_start(ALICE), other = puppet_start(BOB);
    put(fake, pid);
    ck_assert_uint_eq(partition_in(proctrack, pid), 0);
    proctrack = proctrack_close(proctrack);
    help_open();
    ck_assert_uint_eq(partition_in(proctrack, pid), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    put(home, other);
    ck_assert_int_eq(join_rc(1, other), -EEXIST);
    ck_assert_uint_gt(strlen(why.text), 30);
    ck_assert_int_eq(help_kill(1), 0);
    help_nap();
    ck_assert(puppet_alive(pid));
}
END_TEST

START_TEST(names_that_are_not_ours)
{
    static const char *const names[] = {"p0",
                                        "p01",
                                        "p",
                                        "p1x",
                                        "p-1",
                                        "p18446744073709551616",
                                        "p99999999999999999999",
                                        "test",
                                        "q1",
                                        "p2+1",
                                        "p1+1",
                                        "p1+",
                                        "p+1",
                                        "p1++2",
                                        "p1+02",
                                        "p1+2+",
                                        "p0+1",
                                        "p1+2x",
                                        "p1+2.g",
                                        "p1+2+3+4+5+6+7+8+9"};
    char name[128], path[PATH_MAX];
    help_open();
    pid_t pid = puppet_start(ALICE);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(name, sizeof(name), "chronosfs-%s-%s", help_instance, names[i]);
        strcpy(path, help_cgroup_make(name));
        put(path, pid);
        ck_assert_msg(partition_in(proctrack, pid) == 0, "%s", name);
    }
    proctrack = proctrack_close(proctrack);
    help_open();
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
    snprintf(name, sizeof(name), "chronosfs-%s-p18446744073709551614", help_instance);
    put(help_cgroup_make(name), pid);
    proctrack = proctrack_close(proctrack);
    help_open();
    ck_assert_uint_eq(partition_in(proctrack, pid), UINT64_MAX - 1);
}
END_TEST

/* Each set has a leaf: those that are not used make room, and there is an end. */
START_TEST(goes_through_sets)
{
    help_open();
    pid_t pid = puppet_start(ALICE), members_of[CGROUP_SETS_MAX + 1];
    for (uint64_t other = 2; other < 3 * CGROUP_SETS_MAX; other++) {
        ck_assert_int_eq(join_set(SET(1, other), pid), 0);
        ck_assert_int_le(help_cgroup_count(help_instance), CGROUP_SETS_MAX + 1);
    }
    join(1, pid);
    for (uint64_t i = 0; i <= CGROUP_SETS_MAX; i++) {
        members_of[i] = puppet_start(ALICE);
        int r = join_set(SET(1, i + 1000), members_of[i]);
        ck_assert_int_eq(r, i < CGROUP_SETS_MAX ? 0 : -EUSERS);
    }
    ck_assert_ptr_nonnull(strstr(why.text, "64 other combinations"));
    ck_assert_int_eq(join_set(SET(1, 1000), pid), 0); /* a known one */
    join(1, members_of[CGROUP_SETS_MAX]);             /* and alone as ever */
    ck_assert_int_eq(members(1), CGROUP_SETS_MAX + 2);
    for (uint64_t i = 0; i < CGROUP_SETS_MAX; i++)
        end_all(i + 1000);
    end_all(1);
    for (uint64_t other = 2; other < 3 * CGROUP_SETS_MAX; other++)
        EVENTUALLY(proctrack_forget(proctrack, other) == 0);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

#define OWNER 0
#define GUEST 7

static bool owns(void *context, uint64_t id, uint32_t account)
{
    (void)context;
    return id != 1 || account == OWNER;
}

static int join_for(uint32_t account, struct proctrack_set set, pid_t pid)
{
    struct procfs_process process;
    int r;
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    EVENTUALLY((r = proctrack_join(proctrack, &set, account, &process, &why)) != -EINPROGRESS);
    return r;
}

/* Others use the first half at most, also after a restart. */
START_TEST(leaves_sets_to_the_owner)
{
    const uint64_t half = CGROUP_SETS_MAX / 2;
    uint64_t next = 1000;
    help_options.owns = owns;
    help_open();
    for (uint64_t i = 0; i < half; i++)
        ck_assert_int_eq(join_for(GUEST, SET(1, next++), puppet_start(BOB)), 0);
    ck_assert_int_eq(join_for(GUEST, SET(1, next), puppet_start(BOB)), -EUSERS);
    ck_assert_int_eq(join_for(GUEST, SET(2, next), puppet_start(BOB)), 0); /* their own */
    help_open();
    ck_assert_int_eq(join_for(GUEST, SET(1, next), puppet_start(BOB)), -EUSERS);
    for (uint64_t i = 0; i < half; i++)
        ck_assert_int_eq(join_for(OWNER, SET(1, next++), puppet_start(ALICE)), 0);
    ck_assert_int_eq(join_for(OWNER, SET(1, next), puppet_start(ALICE)), -EUSERS);
    while (next-- > 1000)
        end_all(next);
    end_all(1);
    end_all(2);
}
END_TEST

/* A process returns to where it came from, however many places another user has. */
START_TEST(leaves_origins_to_the_owner)
{
    char home[PATH_MAX], name[16], path[PATH_MAX];
    struct procfs_process process;
    help_options.owns = owns;
    help_open();
    for (int i = 0; i < CGROUP_ORIGIN_MAX + 1; i++) {
        pid_t pid = puppet_start(BOB);
        snprintf(name, sizeof(name), "place%d", i);
        put(strcpy(path, help_cgroup_make(name)), pid);
        ck_assert_int_eq(join_for(GUEST, SET(1), pid), 0);
    }
    pid_t pid = puppet_start(ALICE);
    put(strcpy(home, help_cgroup_make("home")), pid);
    ck_assert_int_eq(join_for(OWNER, SET(1), pid), 0);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    EVENTUALLY(proctrack_leave(proctrack, OWNER, &process, false, &why) == 0);
    help_cgroup_of(pid, path, sizeof(path));
    ck_assert_str_eq(path, home);
    end_all(1);
}
END_TEST

/* A user with a delegated cgroup can do this; other cgroups are found anyway. */
START_TEST(paths_that_are_too_long)
{
    char top[PATH_MAX], name[256], full[2 * PATH_MAX];
    size_t wanted = PATH_MAX - 2;
    help_open();
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
    int r = proctrack_open(&help_options, &proctrack, &why);
    for (char at[PATH_MAX]; chdir("..") == 0;) { /* the deepest first */
        DIR *directory = opendir(".");
        bool any = false;
        for (struct dirent *entry; directory && (entry = readdir(directory));)
            any |= entry->d_name[0] == '0' && rmdir(entry->d_name) == 0;
        if (directory)
            closedir(directory);
        if (!any || (getcwd(at, sizeof(at)) && strcmp(at, full) == 0))
            break;
    }
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_msg(!r, "%s", why.text);
    ck_assert_uint_eq(partition_in(proctrack, pid), 1);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
}
END_TEST

START_TEST(others_remove_what_is_empty)
{
    char top[PATH_MAX], leaf[2 * PATH_MAX];
    help_open();
    strcpy(top, help_cgroup_make("top"));
    pid_t pid = leaf_goes_to(ALICE, top, top);
    snprintf(leaf, sizeof(leaf), "%s/%s/chronosfs-%s-p1", help_cgroup(), top, help_instance);
    put(top, pid);
    ck_assert_int_eq(rmdir(leaf), 0);
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 0);
    ck_assert_int_eq(help_kill(1), 0);
    ck_assert_int_eq(help_freeze(1, true), 0);
    ck_assert_int_eq(help_signal(1, SIGUSR1, NULL), 0);
    join(1, pid);
    ck_assert_uint_eq(partition_in(proctrack, pid), 1);
    put(top, pid);
    ck_assert_int_eq(rmdir(leaf), 0);
    ck_assert_int_eq(help_forget(1), 0);
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
}
END_TEST

START_TEST(a_frozen_partition_from_many_places)
{
    char one[PATH_MAX], two[PATH_MAX], three[PATH_MAX];
    help_open();
    strcpy(three, help_cgroup_make("three"));
    strcpy(one, help_cgroup_make("one"));
    strcpy(two, help_cgroup_make("two"));
    leaf_goes_to(ALICE, one, one);
    ck_assert_int_eq(help_freeze(1, true), 0);
    pid_t late = leaf_goes_to(ALICE, two, two), gone = leaf_goes_to(ALICE, three, three);
    kill(gone, SIGKILL);
    EVENTUALLY(!puppet_alive(gone));
    ck_assert_int_eq(proctrack_forget(proctrack, 1), -EBUSY);
    ck_assert_int_eq(help_cgroup_count(help_instance), 3); /* all or nothing */
    ck_assert_int_eq(help_signal(1, SIGUSR1, NULL), 0);
    usleep(50000);
    ck_assert_uint_eq(puppet_signals(late, SIGUSR1), 0);
    ck_assert_int_eq(help_freeze(1, false), 0);
    EVENTUALLY(puppet_signals(late, SIGUSR1) == 1);
    end_all(1);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

static void returns_to(pid_t pid, const char *path)
{
    char is[PATH_MAX];
    struct procfs_process process;
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    EVENTUALLY(proctrack_leave(proctrack, 0, &process, false, &why) != -EINPROGRESS);
    help_cgroup_of(pid, is, sizeof(is));
    ck_assert_str_eq(is, path);
    ck_assert_uint_eq(partition_in(proctrack, pid), 0);
}

static void stays(pid_t pid, int error)
{
    int r;
    struct procfs_process process;
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    EVENTUALLY((r = proctrack_leave(proctrack, 0, &process, false, &why)) != -EINPROGRESS);
    ck_assert_int_eq(r, error);
    ck_assert_uint_eq(partition_in(proctrack, pid), 1);
}

START_TEST(back_to_where_each_came_from)
{
    char home[PATH_MAX], work[PATH_MAX], scope[PATH_MAX], is[PATH_MAX];
    help_open();
    strcpy(home, help_cgroup_make("user/home"));
    strcpy(work, help_cgroup_make("user/work"));
    strcpy(scope, help_cgroup_make("user/work/scope"));
    const char *user = help_cgroup_make("user");
    hand_over(user, ALICE, ALICE, 0644);
    hand_over(home, ALICE, ALICE, 0644);
    hand_over(work, BOB, BOB, 0644);
    pid_t a = puppet_start(ALICE), b = puppet_start(BOB), c = puppet_start(ALICE);
    put(home, a);
    put(work, b);
    put(scope, c);
    join(1, a);
    join(1, b);
    join(2, c);
    join(1, c); /* by way of another partition */
    ck_assert_int_eq(members(1), 3);
    returns_to(a, home); /* never into what is bob's */
    /* systemd removes a unit's cgroup when it is empty; and the daemon starts again */
    char full[2 * PATH_MAX];
    snprintf(full, sizeof(full), "%s/%s", help_cgroup(), scope);
    EVENTUALLY(rmdir(full) == 0);
    help_open();
    ck_assert_int_eq(members(1), 2);
    returns_to(b, work);
    returns_to(c, scope);
    struct stat info;
    ck_assert_int_eq(stat(full, &info), 0);
    ck_assert_uint_eq(info.st_uid, 0); /* not bob's, as the directory above it: he could end c */
    ck_assert_int_eq(members(1), 0);
    join(1, a); /* a known place again */
    help_cgroup_of(a, is, sizeof(is));
    pid_t child = puppet_fork(a);
    returns_to(a, home);
    help_cgroup_of(child, is, sizeof(is));
    ck_assert_str_eq(is, home);
    end_all(1);
    end_all(2);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

/* Where its cgroup was, another user has made one and could end the process in it. */
START_TEST(back_to_what_another_made)
{
    char both[PATH_MAX], full[2 * PATH_MAX];
    help_open();
    strcpy(both, help_cgroup_make("both"));
    hand_over(both, ALICE, ALICE, 0644);
    pid_t a = puppet_start(ALICE);
    put(help_cgroup_make("both/a"), a);
    join(1, a);
    snprintf(full, sizeof(full), "%s/%s/a", help_cgroup(), both);
    EVENTUALLY(rmdir(full) == 0);
    ck_assert_int_eq(mkdir(full, 0755), 0);
    ck_assert_int_eq(chown(full, BOB, BOB), 0);
    stays(a, -EPERM);
    ck_assert_int_eq(chown(full, ALICE, ALICE), 0);
    snprintf(full, sizeof(full), "%s/a", both);
    returns_to(a, full);
    end_all(1);
}
END_TEST

/* Users can remove what is above the place that a process came from as well. */
START_TEST(back_to_where_nothing_is_left)
{
    char user[PATH_MAX], origin[PATH_MAX], full[2 * PATH_MAX];
    struct procfs_process process;
    struct stat info;
    help_open();
    strcpy(origin, help_cgroup_make("user/a/b"));
    strcpy(user, help_cgroup_make("user"));
    hand_over(user, ALICE, ALICE, 0644);
    pid_t pid = puppet_start(ALICE);
    put(origin, pid);
    join(1, pid);
    snprintf(full, sizeof(full), "%s/%s", help_cgroup(), origin);
    EVENTUALLY(rmdir(full) == 0);
    *strrchr(full, '/') = '\0';
    ck_assert_int_eq(rmdir(full), 0);
    ck_assert_int_eq(help_write(user, "cgroup.max.descendants", "0"), 0);
    ck_assert_int_eq(proctrack_look(proctrack, pid, &process), 0);
    int r;
    EVENTUALLY((r = proctrack_leave(proctrack, 0, &process, false, &why)) != -EINPROGRESS);
    ck_assert_int_eq(r, -ENOSPC);
    ck_assert_int_eq(members(1), 1);
    ck_assert_int_eq(help_write(user, "cgroup.max.descendants", "max"), 0);
    returns_to(pid, origin);
    ck_assert_int_eq(stat(full, &info), 0);
    ck_assert_uint_eq(info.st_uid, ALICE);
    end_all(1);
}
END_TEST

START_TEST(many_origins_share_a_leaf)
{
    char name[64], path[PATH_MAX];
    const char *user;
    enum { PLACES = 40 };
    pid_t pids[PLACES];
    help_open();
    for (int i = 0; i < PLACES; i++) {
        snprintf(name, sizeof(name), "user/p%d", i);
        strcpy(path, help_cgroup_make(name));
        pids[i] = puppet_start(ALICE);
        put(path, pids[i]);
    }
    user = help_cgroup_make("user");
    hand_over(user, ALICE, ALICE, 0644);
    for (int i = 0; i < PLACES; i++)
        join(1, pids[i]);
    ck_assert_int_eq(members(1), PLACES);
    ck_assert_int_le(help_cgroup_count(help_instance), 33);
    help_open();
    ck_assert_int_eq(members(1), PLACES);
    strcpy(path, help_cgroup_make("user/p5"));
    returns_to(pids[5], path);
    stays(pids[39], -ENODATA); /* anywhere else the limits of its place would be lost */
    end_all(1);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {climbs,
                                  threaded_cgroups_take_no_leaf,
                                  nobody_leaves,
                                  partitions_are_not_nested,
                                  limits_above_count,
                                  cgroups_that_may_not_be_made,
                                  somebody_elses_cgroup,
                                  names_that_are_not_ours,
                                  goes_through_sets,
                                  leaves_sets_to_the_owner,
                                  leaves_origins_to_the_owner,
                                  paths_that_are_too_long,
                                  others_remove_what_is_empty,
                                  a_frozen_partition_from_many_places,
                                  back_to_where_each_came_from,
                                  back_to_what_another_made,
                                  back_to_where_nothing_is_left,
                                  many_origins_share_a_leaf};
    return help_cgroup_case("cgroup", setup, tests, ARRAY_COUNT(tests));
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
