/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of cgroups as deep and as wide as users like cost the cgroup adapter neither its stack nor
 * its descriptors, and none of the members that it knew. */
#include "help.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEVELS 400

static char deep[2 * PATH_MAX]; /* where a chain begins; "" if there is none */

static void setup(void)
{
    help_begin_mode("cgroup");
    deep[0] = '\0';
}

/* Makes cgroups one in the other below `path`, as `uid`. Leaves the working directory in the
 * deepest. */
static void dig(const char *path, uid_t uid, int levels)
{
    snprintf(deep, sizeof(deep), "%s/%s", help_cgroup(), path);
    ck_assert_int_eq(chown(deep, uid, uid), 0);
    ck_assert_int_eq(chdir(deep), 0);
    ck_assert_int_eq(seteuid(uid), 0);
    for (int i = 0; i < levels; i++) {
        ck_assert_int_eq(mkdir("d", 0755), 0);
        ck_assert_int_eq(chdir("d"), 0);
    }
    ck_assert_int_eq(seteuid(0), 0);
}

static void fill_in(void)
{
    if (deep[0] == '\0' || chdir(deep) != 0)
        return;
    while (chdir("d") == 0)
        ;
    while (chdir("..") == 0 && rmdir("d") == 0)
        ;
    ck_assert_int_eq(chdir("/"), 0);
}

static void *reopen(void *result)
{
    *(int *)result = proctrack_open(&help_options, &proctrack, &why);
    return NULL;
}

/* Opens the tracker again with a small stack and few descriptors. */
static void reopen_poor(void)
{
    struct rlimit before, few;
    pthread_attr_t attributes;
    pthread_t thread;
    int r = -1, next = dup(0);
    close(next);
    proctrack = proctrack_close(proctrack);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = (rlim_t)next + 6, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    ck_assert_int_eq(pthread_create(&thread, &attributes, reopen, &r), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_msg(!r, "%s", why.text);
}

/* Alice has a cgroup of her own. A container's root has one whose directories belong to root. */
START_TEST(others_dig)
{
    char home[PATH_MAX], other[PATH_MAX];
    uid_t digger = _i ? 0 : ALICE;
    help_open();
    strcpy(home, help_cgroup_make("home"));
    strcpy(other, help_cgroup_make("other"));
    pid_t pid = puppet_start(BOB);
    put(other, pid);
    join(1, pid);
    dig(home, digger, LEVELS);
    reopen_poor();
    fill_in();
    ck_assert_str_eq(why.text, "");
    ck_assert_str_eq(proctrack_word(proctrack), "cgroup");
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
    end_all(1);
    ck_assert(!puppet_alive(pid));
}
END_TEST

/* What lies below a directory that is not root's is not searched at all. */
START_TEST(others_are_not_searched)
{
    char home[PATH_MAX], leaf[2 * PATH_MAX], full[3 * PATH_MAX];
    strcpy(home, help_cgroup_make("home"));
    snprintf(leaf, sizeof(leaf), "home/chronosfs-%s-p1", help_instance);
    help_cgroup_make(leaf);
    help_open();
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 1);
    proctrack = proctrack_close(proctrack);
    for (int i = 0; i < 3; i++) {
        static const struct {
            uid_t uid;
            gid_t gid;
            mode_t mode;
        } theirs[] = {{ALICE, 0, 0755}, {0, ALICE, 0775}, {0, 0, 0777}};
        snprintf(full, sizeof(full), "%s/%s", help_cgroup(), home);
        ck_assert_int_eq(chown(full, theirs[i].uid, theirs[i].gid), 0);
        ck_assert_int_eq(chmod(full, theirs[i].mode), 0);
        help_open();
        ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 0);
        proctrack = proctrack_close(proctrack);
    }
    help_open();
}
END_TEST

/* A container that root started in a partition has cgroups below the leaf. */
START_TEST(members_dig)
{
    char home[PATH_MAX], leaf[PATH_MAX], text[16];
    help_open();
    strcpy(home, help_cgroup_make("home"));
    pid_t pid = puppet_start(ALICE), top = puppet_start(ALICE);
    put(home, pid);
    put(home, top);
    join(1, pid);
    join(1, top);
    help_cgroup_of(pid, leaf, sizeof(leaf));
    dig(leaf, 0, LEVELS);
    int fd = open("cgroup.procs", O_WRONLY | O_CLOEXEC);
    snprintf(text, sizeof(text), "%d", pid);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    ck_assert_int_eq(chdir("/"), 0);
    reopen_poor();
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 2);
    ck_assert_uint_eq(partition_in(proctrack, pid), 1);
    ck_assert_int_eq(help_kill(1), 0);
    EVENTUALLY(!puppet_alive(pid) && !puppet_alive(top));
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

/* Many beside each other are removed by several calls. */
START_TEST(members_spread)
{
    char home[PATH_MAX], leaf[PATH_MAX], full[2 * PATH_MAX + 32];
    help_open();
    strcpy(home, help_cgroup_make("home"));
    pid_t pid = puppet_start(ALICE);
    put(home, pid);
    join(1, pid);
    help_cgroup_of(pid, leaf, sizeof(leaf));
    for (int i = 0; i < 4500; i++) {
        snprintf(full, sizeof(full), "%s/%s/%d", help_cgroup(), leaf, i);
        ck_assert_int_eq(mkdir(full, 0755), 0);
    }
    help_kill(1);
    EVENTUALLY(!puppet_alive(pid));
    EVENTUALLY(proctrack_forget(proctrack, 1) == 0);
    EVENTUALLY(help_cgroup_count(help_instance) == 0);
}
END_TEST

/* A new daemon keeps as many leaves as it has descriptors for, of however many accounts they are,
 * and those that it has no room for do not hide others. */
START_TEST(many_are_found)
{
    struct rlimit before, some;
    char name[PATH_MAX], leaf[PATH_MAX];
    help_open();
    proctrack = proctrack_close(proctrack);
    for (int i = 1; i <= 150; i++) {
        snprintf(name, sizeof(name), "home/chronosfs-%s-p%d", help_instance, i);
        snprintf(leaf, sizeof(leaf), "%s", help_cgroup_make(name));
    }
    pid_t pid = puppet_start(ALICE);
    put(leaf, pid);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    some = (struct rlimit){.rlim_cur = 200, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &some), 0); /* 175 leaves */
    help_open();
    ck_assert_str_eq(why.text, "");
    ck_assert_int_eq(proctrack_each(proctrack, NULL, NULL), 150);
    some.rlim_cur = 120; /* 105 */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &some), 0);
    proctrack = proctrack_close(proctrack);
    help_open();
    ck_assert_msg(strstr(why.text, "Too many open files"), "%s", why.text);
    ck_assert_int_ge(proctrack_each(proctrack, NULL, NULL), 100);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    help_open();
    end_all(150);
}
END_TEST

static int searches;

static int on_search(void *context, const char *step)
{
    (void)context;
    return strcmp(step, "search") == 0 && ++searches > 1 ? -EMFILE : 0;
}

/* An error in one place: the members that were found are known, and there is a message. */
START_TEST(an_error_in_one_place)
{
    help_open();
    pid_t pid = puppet_start(ALICE);
    put("", pid); /* its leaf is in the first directory that is searched */
    join(1, pid);
    proctrack = proctrack_close(proctrack);
    help_cgroup_make("home");
    searches = 0;
    help_options.steps.before = on_search;
    help_options.mode = "auto";
    help_open();
    ck_assert_str_eq(proctrack_word(proctrack), "cgroup");
    ck_assert_msg(strstr(why.text, "Too many open files"), "%s", why.text);
    help_options.steps.before = NULL;
    ck_assert_int_eq(proctrack_members(proctrack, 1, NULL, NULL), 1);
    end_all(1);
}
END_TEST

static TCase *make(void)
{
    const TTest *const tests[] = {others_are_not_searched, members_dig, members_spread,
                                  an_error_in_one_place, many_are_found};
    TCase *all = help_cgroup_case("cgroup-deep", setup, tests, ARRAY_COUNT(tests));
    if (help_cgroup() && geteuid() == 0)
        tcase_add_loop_test(all, others_dig, 0, 2);
    return all;
}

int main(int argc, char **argv)
{
    return help_main(argc, argv, make);
}
