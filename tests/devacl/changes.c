/* SPDX-License-Identifier: Apache-2.0 */
/* Changes that others make to a restricted node are reported and undone. */
#include "help.h"

#include <sys/stat.h>
#include <unistd.h>

static size_t told;
static char told_text[MESSAGE_MAX];

static void hear(void *context, const char *path, const char *message)
{
    ck_assert_str_eq(path, context);
    told++;
    snprintf(told_text, sizeof(told_text), "%s", message);
}

/* Expects a report with these words, and the node mended. */
static void expect_told(struct devacl *devacl, const char *node, const char *words)
{
    told = 0;
    ck_assert_uint_eq(devacl_check(devacl, hear, (void *)(uintptr_t)node), 1);
    ck_assert_uint_eq(told, 1);
    ck_assert_msg(strstr(told_text, words), "%s", told_text);
    ck_assert_int_eq(APPLY(devacl, {node, {ALICE}, {0}}), 0);
    ck_assert_uint_eq(devacl_check(devacl, hear, (void *)(uintptr_t)node), 0);
    ck_assert_int_eq(opens(node, BOB, BOB), EACCES);
    ck_assert_int_eq(opens(node, ALICE, ALICE), 0);
}

START_TEST(test_changed_by_others)
{
    const char *node = make_node("nvidia0", ROOT, LAB, 0666, NULL);
    struct devacl *devacl = new_devacl();

    ck_assert_int_eq(APPLY(devacl, {node, {ALICE}, {0}}), 0);
    struct stat st;
    ck_assert_int_eq(stat(node, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0660); /* for comparison with it */
    ck_assert_uint_eq(devacl_check(devacl, NULL, NULL), 0);
    ck_assert_int_eq(chmod(node, 0666), 0); /* nvidia-modprobe */
    ck_assert_int_eq(opens(node, BOB, BOB), 0);
    expect_told(devacl, node, "/nvidia0 was set to 0666");
    ck_assert_int_eq(chmod(node, 0600), 0);
    expect_told(devacl, node, "/nvidia0 was set to 0600");
    ck_assert_int_eq(chown(node, BOB, OPS), 0);
    expect_told(devacl, node, "/nvidia0 was given to user 6102");
    set_acl(node, "u::rw,u:6101:rw,u:6102:rw,g::---,m::rw,o::---"); /* logind: bob sits down */
    expect_told(devacl, node, "access control list of");
    set_acl(node, "u::rw,g::---,o::---");
    expect_told(devacl, node, "/nvidia0 was set to 0600");
    rename(node, in_dev("aside")); /* the driver was loaded again */
    make_node("nvidia0", ROOT, LAB, 0666, NULL);
    expect_told(devacl, node, "was replaced");
    ck_assert_int_eq(chmod(node, 0606), 0); /* released as it is: as it was all the same */
    ck_assert_int_eq(chown(node, CAROL, CAROL), 0);
    ck_assert_int_eq(release(devacl), 0);
    ck_assert_str_eq(looks(node), "0 6200 0666 ");
    ck_assert_int_eq(APPLY(devacl, {node, {ALICE}, {0}}), 0);
    unlink(node);
    ck_assert_uint_eq(devacl_check(devacl, hear, (void *)(uintptr_t)node), 1);
    ck_assert_ptr_nonnull(strstr(told_text, "does not exist any more"));
    ck_assert_int_eq(APPLY(devacl, {node, {ALICE}, {0}}), 0);
    ck_assert_uint_eq(devacl_check(devacl, NULL, NULL), 0);
    devacl_free(devacl);
}
END_TEST

/* What a dead daemon left is checked only once its nodes were applied again. */
START_TEST(test_check_after_restart)
{
    const char *node = make_node("nvidia0", ROOT, ROOT, 0666, NULL);
    struct devacl *devacl = new_devacl();

    ck_assert_int_eq(APPLY(devacl, {node, {ALICE}, {0}}), 0);
    devacl_free(devacl);
    devacl = new_devacl();
    ck_assert_uint_eq(devacl_check(devacl, NULL, NULL), 0);
    ck_assert_int_eq(APPLY(devacl, {node, {BOB}, {0}}), 0);
    ck_assert_str_eq(devacl_steps, "acl ");
    ck_assert_int_eq(opens(node, ALICE, ALICE), EACCES);
    ck_assert_int_eq(chmod(node, 0666), 0);
    ck_assert_uint_eq(devacl_check(devacl, NULL, NULL), 1);
    devacl_free(devacl);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_changed_by_others, test_check_after_restart};
    return devacl_run("device_access-changes", tests, ARRAY_COUNT(tests));
}
