/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device access control on real ACLs, with real users: access to a restricted node, exact
 * restoration, refusals, and changes that are noticed.
 */
#include "help.h"

#include "core/devacl/internal.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A node with an ACL entry from logind for the user at the seat, alice. */
#define SEAT "u::rw,u:6101:rw,g::rw,m::rw,o::---"

START_TEST(test_who_gets_in)
{
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    struct devacl *devacl = new_devacl();

    ck_assert_int_eq(opens(node, BOB, BOB), 0);
    ck_assert_int_eq(APPLY(devacl, {node, {ALICE}, {0}}), 0);
    ck_assert_uint_eq(devacl_count(devacl), 1);
    ck_assert_int_eq(opens(node, ALICE, ALICE), 0);
    ck_assert_int_eq(opens(node, BOB, BOB), EACCES);
    ck_assert_int_eq(opens(node, ROOT, ROOT), 0);
    ck_assert_int_eq(APPLY(devacl, {node, {BOB}, {LAB}}), 0);
    ck_assert_int_eq(opens(node, ALICE, ALICE), EACCES);
    ck_assert_int_eq(opens(node, ALICE, LAB), 0);
    ck_assert_int_eq(opens(node, BOB, BOB), 0);
    ck_assert_int_eq(APPLY(devacl, {node, {0}, {0}}), 0);
    ck_assert_int_eq(opens(node, BOB, LAB), EACCES);
    ck_assert_int_eq(opens(node, ROOT, ROOT), 0);
    ck_assert_int_eq(release(devacl), 0);
    ck_assert_str_eq(looks(node), "0 0 0666 ");
    ck_assert_int_eq(opens(node, BOB, BOB), 0);
    ck_assert(!is_saved());
    ck_assert_int_eq(release(devacl), 0);
    ck_assert_str_eq(devacl_steps, "");
    devacl_free(devacl);
}
END_TEST

/* The owner, the group, others and existing ACL entries all lose access. */
START_TEST(test_nobody_stays_in)
{
    const char *owned = make_node("owned", ALICE, LAB, 0660, NULL);
    const char *seat = make_node("seat", ROOT, LAB, 0660, SEAT);
    struct devacl *devacl = new_devacl();

    ck_assert_int_eq(opens(owned, ALICE, ALICE), 0);
    ck_assert_int_eq(opens(seat, ALICE, ALICE), 0);
    ck_assert_int_eq(opens(seat, BOB, LAB), 0);
    ck_assert_int_eq(APPLY(devacl, {owned, {CAROL}, {0}}, {seat, {0}, {OPS}}), 0);
    ck_assert_int_eq(opens(owned, ALICE, ALICE), EACCES);
    ck_assert_int_eq(opens(owned, BOB, LAB), EACCES);
    ck_assert_int_eq(opens(owned, CAROL, LAB), 0); /* its group takes no access from a holder */
    ck_assert_int_eq(opens(seat, ALICE, ALICE), EACCES);
    ck_assert_int_eq(opens(seat, BOB, LAB), EACCES);
    ck_assert_int_eq(opens(seat, BOB, OPS), 0);
    struct stat st;
    ck_assert_int_eq(stat(owned, &st), 0);
    ck_assert_uint_eq(st.st_uid, ROOT); /* an owner could chmod it */
    devacl_free(devacl);
    ck_assert_int_eq(opens(owned, ALICE, ALICE), EACCES); /* also without a daemon */
}
END_TEST

/* The contract says that open descriptors are not checked again. */
START_TEST(test_open_stays_open)
{
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    struct devacl *devacl = new_devacl();
    char byte;
    int fd = open(node, O_RDWR);
    ck_assert_int_eq(APPLY(devacl, {node, {0}, {0}}), 0);
    ck_assert_int_eq((int)read(fd, &byte, 1), 0);
    close(fd);
    devacl_free(devacl);
}
END_TEST

static const struct {
    uint32_t uid, gid, mode;
    const char *acl;
} befores[] = {
    {ROOT, ROOT, 0666, NULL},
    {ROOT, LAB, 0660, NULL},
    {ROOT, LAB, 0600, NULL},
    {ROOT, ROOT, 0, NULL},
    {ALICE, LAB, 0640, NULL},
    {BOB, BOB, 0606, NULL},
    {ROOT, LAB, 01660, NULL},
    {ALICE, LAB, 06776, NULL},
    {ROOT, LAB, 0660, SEAT},
    {ROOT, ROOT, 0600, "u::rw,u:6102:r,g::---,g:6200:rw,g:6201:r,m::r,o::r"},
    {ALICE, ROOT, 0600, "u::---,u:6101:rw,g::rw,m::rw,o::rw"},
    {ROOT, LAB, 01660, SEAT},
};

/* Owner, group, mode and ACL are restored, by the same daemon and by the next one. */
START_TEST(test_exactly_as_before)
{
    for (size_t i = 0; i < 2 * ARRAY_COUNT(befores); i++) {
        const size_t b = i / 2;
        const char *node =
            make_node("node", befores[b].uid, befores[b].gid, befores[b].mode, befores[b].acl);
        char before[512];
        struct devacl *devacl = new_devacl();
        snprintf(before, sizeof(before), "%s", looks(node));
        ck_assert_int_eq(APPLY(devacl, {node, {CAROL}, {0}}), 0);
        ck_assert_str_ne(looks(node), before);
        ck_assert_int_eq(opens(node, BOB, LAB), EACCES);
        if (i % 2 == 1) {
            devacl_free(devacl);
            devacl = new_devacl();
            ck_assert_uint_eq(devacl_count(devacl), 1);
        }
        ck_assert_int_eq(APPLY(devacl, {node, {CAROL}, {LAB}}), 0);
        ck_assert_int_eq(release(devacl), 0);
        ck_assert_str_eq(looks(node), before);
        ck_assert(!is_saved());
        devacl_free(devacl);
    }
}
END_TEST

START_TEST(test_only_what_differs)
{
    const char *one = make_node("one", ROOT, ROOT, 0666, NULL);
    const char *two = make_node("two", ALICE, LAB, 0660, NULL);
    const char *late = in_dev("late");
    struct devacl *devacl = new_devacl();

    ck_assert_int_eq(APPLY(devacl, {one, {ALICE, BOB}, {0}}, {two, {ALICE}, {0}}), 0);
    /* durable before the first change */
    ck_assert_str_eq(devacl_steps, "write sync rename sync-directory acl chown acl ");
    ck_assert_int_eq(APPLY(devacl, {two, {ALICE}, {0}}, {one, {BOB, ALICE, BOB}, {0}}), 0);
    ck_assert_str_eq(devacl_steps, "");
    ck_assert_int_eq(APPLY(devacl, {one, {BOB}, {0}}, {two, {ALICE}, {0}}, {late, {0}, {0}}), 0);
    ck_assert_str_eq(devacl_steps, "acl ");
    make_node("late", ROOT, ROOT, 0666, NULL);
    ck_assert_int_eq(APPLY(devacl, {one, {BOB}, {0}}, {two, {ALICE}, {0}}, {late, {0}, {0}}), 0);
    ck_assert_str_eq(devacl_steps, "write sync rename sync-directory acl ");
    ck_assert_int_eq(APPLY(devacl, {two, {ALICE}, {0}}, {late, {0}, {0}}), 0); /* one leaves */
    ck_assert_str_eq(devacl_steps, "acl write sync rename sync-directory ");
    ck_assert_str_eq(looks(one), "0 0 0666 ");
    ck_assert_uint_eq(devacl_count(devacl), 2);
    unlink(late); /* one is gone */
    ck_assert_int_eq(APPLY(devacl, {two, {ALICE}, {0}}, {late, {0}, {0}}), 0);
    ck_assert_uint_eq(devacl_count(devacl), 1);
    ck_assert_int_eq(release(devacl), 0);
    ck_assert_str_eq(devacl_steps, "chown acl unlink sync-directory ");
    devacl_free(devacl);
}
END_TEST

/* Another node under the same name never gets the attributes of the old one. */
START_TEST(test_replaced)
{
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    struct devacl *devacl = new_devacl();

    ck_assert_int_eq(APPLY(devacl, {node, {0}, {0}}), 0);
    rename(node, in_dev("aside")); /* so that the inode is not reused */
    make_node("nvidia0", ROOT, LAB, 0640, NULL);
    devacl_free(devacl);
    devacl = new_devacl();
    ck_assert_int_eq(release(devacl), 0);
    ck_assert_str_eq(looks(node), "0 6200 0640 ");
    ck_assert(!is_saved());

    ck_assert_int_eq(APPLY(devacl, {node, {0}, {0}}), 0);
    rename(node, in_dev("aside"));
    make_node("nvidia0", ROOT, OPS, 0606, NULL);
    ck_assert_int_eq(APPLY(devacl, {node, {ALICE}, {0}}), 0); /* enters as a new node */
    ck_assert_int_eq(opens(node, BOB, OPS), EACCES);
    ck_assert_int_eq(release(devacl), 0);
    ck_assert_str_eq(looks(node), "0 6201 0606 ");
    devacl_free(devacl);
}
END_TEST

START_TEST(test_which_node)
{
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    struct devacl *devacl = new_devacl();
    struct identity now, other;
    struct node_state look;
    int fd = node_open(devacl, node);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(node_read(devacl, fd, &now, &look), 0);
    ck_assert(node_is(fd, &now, &now));
    other = now, other.inode++;
    ck_assert(!node_is(fd, &now, &other));
    other = now, other.rdev++;
    ck_assert(!node_is(fd, &now, &other));
    other = now, other.birth_ns++;
    ck_assert(!node_is(fd, &now, &other));
    other = now, other.device++;
    ck_assert(!node_is(fd, &now, &other));
    other = now, other.boot[0] = '?'; /* in memory, and from another boot */
    ck_assert(!node_is(fd, &now, &other));
    int disk = node_open(devacl, "/proc"); /* not in memory: the number of its filesystem is new */
    other.device++;
    ck_assert(node_is(disk, &now, &other));
    close(disk);
    close(fd);
    devacl_free(devacl);
}
END_TEST

START_TEST(test_refused)
{
    static const uint32_t invalid[] = {UINT32_MAX};
    static uint32_t many[DEVACL_HOLDERS_MAX + 1];
    static const uint32_t groups[] = {4242};
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    struct devacl *devacl = new_devacl();
    const char *text = devacl_message.text;

    ck_assert_int_eq(symlink(node, in_dev("link")), 0);
    ck_assert_int_eq(APPLY(devacl, {in_dev("link"), {0}, {0}}), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text, "/link is a symbolic link"));
    ck_assert_int_eq(mkdir(in_dev("dri"), 0755), 0);
    ck_assert_int_eq(APPLY(devacl, {in_dev("dri"), {0}, {0}}), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text, "/dri is not a character device"));
    if (!devacl_usual.plain_files) {
        close(open(in_dev("file"), O_CREAT | O_WRONLY, 0666));
        ck_assert_int_eq(APPLY(devacl, {in_dev("file"), {0}, {0}}), -EINVAL);
        ck_assert_str_eq(looks(in_dev("file")), "0 0 0666 ");
    }
    ck_assert_int_eq(APPLY(devacl, {"dev/null", {0}, {0}}), -EINVAL);
    ck_assert_int_eq(APPLY(devacl, {"/dev/a\nb", {0}, {0}}), -EINVAL);
    ck_assert_ptr_null(strchr(text, '\n'));
    ck_assert(!is_saved());

    /* one node is refused, the other is closed all the same */
    ck_assert_int_eq(APPLY(devacl, {in_dev("link"), {0}, {0}}, {node, {ALICE}, {0}}), -EINVAL);
    ck_assert_int_eq(opens(node, BOB, BOB), EACCES);
    struct devacl_node bad = {.path = node, .uids = invalid, .uid_count = 1};
    ck_assert_int_eq(devacl_apply(devacl, &bad, 1, &devacl_message), -EINVAL);
    bad = (struct devacl_node){.path = node, .gids = invalid, .gid_count = 1};
    ck_assert_int_eq(devacl_apply(devacl, &bad, 1, &devacl_message), -EINVAL);
    for (uint32_t i = 0; i < ARRAY_COUNT(many); i++)
        many[i] = 100000 + i;
    bad = (struct devacl_node){.path = node, .uids = many, .uid_count = ARRAY_COUNT(many)};
    /* too many: those that fit get in, in their order, and no other stays */
    ck_assert_int_eq(devacl_apply(devacl, &bad, 1, &devacl_message), -E2BIG);
    ck_assert_ptr_nonnull(strstr(text, "has more holders than fit"));
    ck_assert_int_eq(opens(node, ALICE, ALICE), EACCES);
    ck_assert_int_eq(opens(node, BOB, BOB), EACCES);
    ck_assert_int_eq(opens(node, 100000, 100000), 0);
    ck_assert_int_eq(opens(node, 100000 + DEVACL_HOLDERS_MAX - 1, BOB), 0);
    ck_assert_int_eq(opens(node, 100000 + DEVACL_HOLDERS_MAX, BOB), EACCES);
    bad.gids = groups; /* users come before groups */
    bad.gid_count = 1;
    many[0] = 100000 + DEVACL_HOLDERS_MAX;
    many[DEVACL_HOLDERS_MAX] = 100000;
    ck_assert_int_eq(devacl_apply(devacl, &bad, 1, &devacl_message), -E2BIG);
    ck_assert_int_eq(opens(node, 100000 + DEVACL_HOLDERS_MAX, BOB), 0);
    ck_assert_int_eq(opens(node, 100000, BOB), EACCES);
    ck_assert_int_eq(opens(node, BOB, 4242), EACCES);
    ck_assert_uint_eq(devacl_check(devacl, NULL, NULL), 0);
    bad.gid_count = 0;
    many[0] = many[1]; /* the maximum: duplicates do not count */
    ck_assert_int_eq(devacl_apply(devacl, &bad, 1, &devacl_message), 0);
    ck_assert_int_eq(release(devacl), 0);
    ck_assert_str_eq(looks(node), "0 0 0666 ");
    devacl_free(devacl);
}
END_TEST

/* An unprivileged daemon changes nothing and leaves nothing behind. */
START_TEST(test_not_root)
{
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    const char *own = make_node("own", ALICE, ALICE, 0600, NULL);
    int status;

    ck_assert_int_eq(chown(in_state(""), ALICE, ALICE), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct want wants[] = {{node, {ALICE}, {0}}, {own, {ALICE}, {0}}};
        if (setgroups(0, NULL) != 0 || setresgid(ALICE, ALICE, ALICE) != 0 ||
            setresuid(ALICE, ALICE, ALICE) != 0)
            _exit(1);
        struct devacl *devacl = new_devacl();
        int r = apply(devacl, wants, 2);
        bool good = r == -EPERM && strstr(devacl_message.text, "run chronosfs as root") &&
                    devacl_count(devacl) == 0;
        devacl_free(devacl);
        _exit(good ? 0 : 2);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(chown(in_state(""), ROOT, ROOT), 0);
    ck_assert_int_eq(status, 0);
    ck_assert(!is_saved());
    ck_assert_str_eq(looks(node), "0 0 0666 ");
    ck_assert_str_eq(looks(own), "6101 6101 0600 ");
}
END_TEST

START_TEST(test_no_acls)
{
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    const char *other = in_dev("ram/node");
    struct devacl *devacl = new_devacl();

    ck_assert_int_eq(mkdir(in_dev("ram"), 0755), 0);
    ck_assert_int_eq(mount("none", in_dev("ram"), "ramfs", 0, NULL), 0);
    make_node("ram/node", ROOT, ROOT, 0666, NULL);
    int r = APPLY(devacl, {other, {0}, {0}}, {node, {0}, {0}});
    struct stat st;
    ck_assert_int_eq(stat(other, &st), 0);
    umount2(in_dev("ram"), MNT_DETACH);
    ck_assert_int_eq(r, -EOPNOTSUPP);
    ck_assert_ptr_nonnull(
        strstr(devacl_message.text, "ram/node: its filesystem does not support access"));
    ck_assert_uint_eq(st.st_mode & 07777, 0666);
    ck_assert_uint_eq(devacl_count(devacl), 1);
    ck_assert_int_eq(opens(node, BOB, BOB), EACCES);
    devacl_free(devacl);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_who_gets_in,       test_nobody_stays_in, test_open_stays_open, test_exactly_as_before,
        test_only_what_differs, test_replaced,        test_which_node,      test_refused,
        test_not_root,          test_no_acls};
    return devacl_run("device_access", tests, ARRAY_COUNT(tests));
}
