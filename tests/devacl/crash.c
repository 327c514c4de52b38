/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device access control when something goes wrong: killed before any step, a step that fails, a
 * damaged file. No user gets access without having had it before or being a holder, and in the end
 * every node is restored.
 */
#include "help.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEAT "u::rw,u:6103:rw,g::---,m::rw,o::---"

/* Three nodes, none of which bob could open before. */
struct nodes {
    const char *path[3];
    char before[3][512];
};

static void make_nodes(struct nodes *nodes)
{
    devacl_world_clear();
    nodes->path[0] = make_node("nvidia0", ROOT, LAB, 0660, NULL);
    nodes->path[1] = make_node("card0", ROOT, LAB, 0660, SEAT);
    nodes->path[2] = make_node("own", CAROL, OPS, 01600, NULL);
    for (size_t i = 0; i < 3; i++)
        snprintf(nodes->before[i], sizeof(nodes->before[i]), "%s", looks(nodes->path[i]));
}

/* The life of a struct devacl: restrict nodes, change holders, drop one, add one, release. Returns
 * the first error. */
static int live(const struct nodes *nodes)
{
    const char *const *path = nodes->path;
    struct devacl *devacl = NULL;
    int r[5];

    if (devacl_new(&devacl_usual, &devacl, &devacl_message) != 0)
        return -1;
    r[0] = APPLY(devacl, {path[0], {ALICE}, {0}}, {path[1], {CAROL}, {0}}, {path[2], {ALICE}, {0}});
    r[1] = APPLY(devacl, {path[0], {CAROL}, {0}}, {path[1], {0}, {OPS}}, {path[2], {0}, {0}});
    r[2] = APPLY(devacl, {path[0], {CAROL}, {0}}, {path[2], {ALICE}, {0}});
    r[3] = APPLY(devacl, {path[0], {CAROL}, {0}}, {path[1], {ALICE}, {0}}, {path[2], {ALICE}, {0}});
    r[4] = release(devacl);
    devacl_free(devacl);
    for (size_t i = 0; i < ARRAY_COUNT(r); i++) {
        if (r[i] != 0)
            return r[i];
    }
    return 0;
}

/* Asserts that bob is locked out and that every closed node can be restored. */
static void check_safe(const struct nodes *nodes)
{
    struct devacl *devacl = new_devacl();
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(opens(nodes->path[i], BOB, BOB), EACCES);
        if (strcmp(looks(nodes->path[i]), nodes->before[i]) != 0)
            ck_assert_uint_gt(devacl_count(devacl), 0);
    }
    devacl_free(devacl);
}

static void check_as_before(const struct nodes *nodes)
{
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(looks(nodes->path[i]), nodes->before[i]);
    ck_assert(!is_saved());
    ck_assert_int_ne(access(in_state("device_access.new"), F_OK), 0);
}

/* Dies before step number `at`. Returns false when there are fewer steps. */
static bool die_at(const struct nodes *nodes, int at)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        devacl_trouble_kills = true;
        devacl_trouble_at = at;
        _exit(live(nodes) == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        return true;
    ck_assert_int_eq(status, 0);
    return false;
}

START_TEST(test_killed_at_each_step)
{
    struct nodes nodes;
    int at = 0;
    for (bool died = true; died; at++) {
        for (int way = 0; way < 3; way++) {
            make_nodes(&nodes);
            died = die_at(&nodes, at);
            check_safe(&nodes);
            struct devacl *devacl = new_devacl();
            if (way == 1) /* the next daemon goes on */
                ck_assert_int_eq(
                    APPLY(devacl, {nodes.path[0], {ALICE}, {0}}, {nodes.path[1], {0}, {0}}), 0);
            if (way == 2) { /* a release that is killed, too */
                devacl_free(devacl);
                die_at(&nodes, at / 2);
                check_safe(&nodes);
                devacl = new_devacl();
            }
            ck_assert_int_eq(release(devacl), 0);
            check_as_before(&nodes);
            ck_assert_int_eq(release(devacl), 0);
            devacl_free(devacl);
            check_as_before(&nodes);
        }
    }
    ck_assert_int_gt(at, 25);
}
END_TEST

/* A disk that fails once, at any step: reported, nothing lost, and the next try works. */
START_TEST(test_failure_at_each_step)
{
    struct nodes nodes;
    bool failed = true;
    int at = 0;
    for (; failed; at++) {
        make_nodes(&nodes);
        devacl_trouble_kills = false;
        devacl_trouble_at = at;
        int r = live(&nodes);
        failed = devacl_trouble_at < 0;
        ck_assert_int_eq(r, failed ? -EIO : 0);
        devacl_trouble_at = -1;
        check_safe(&nodes);
        struct devacl *devacl = new_devacl();
        ck_assert_int_eq(release(devacl), 0);
        check_as_before(&nodes);
        devacl_free(devacl);
    }
    ck_assert_int_gt(at, 25);
}
END_TEST

/* While the state cannot be written no node is closed, but holders are still removed. */
START_TEST(test_full_disk)
{
    static const int steps[] = {0, 1, 2, 3}; /* write sync rename sync-directory */
    struct nodes nodes;
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        make_nodes(&nodes);
        struct devacl *devacl = new_devacl();
        ck_assert_int_eq(APPLY(devacl, {nodes.path[0], {ALICE}, {0}}), 0);
        devacl_trouble_kills = false;
        devacl_trouble_at = steps[i];
        ck_assert_int_eq(APPLY(devacl, {nodes.path[0], {CAROL}, {0}}, {nodes.path[1], {0}, {0}}),
                         -EIO);
        ck_assert_int_eq(devacl_trouble_at, -1);
        ck_assert_ptr_nonnull(strstr(devacl_message.text, "/device_access: Input"));
        ck_assert_str_eq(looks(nodes.path[1]), nodes.before[1]);
        ck_assert_int_eq(opens(nodes.path[0], ALICE, ALICE), EACCES);
        ck_assert_int_eq(opens(nodes.path[0], CAROL, CAROL), 0);
        ck_assert_int_eq(APPLY(devacl, {nodes.path[0], {CAROL}, {0}}, {nodes.path[1], {0}, {0}}),
                         0);
        ck_assert_int_eq(opens(nodes.path[1], CAROL, CAROL), EACCES);
        ck_assert_int_eq(release(devacl), 0);
        check_as_before(&nodes);
        devacl_free(devacl);
    }
}
END_TEST

/* A failed write is made up for by the next apply, though nothing differs. */
START_TEST(test_written_later)
{
    struct nodes nodes;
    make_nodes(&nodes);
    struct devacl *devacl = new_devacl();
    ck_assert_int_eq(APPLY(devacl, {nodes.path[0], {0}, {0}}, {nodes.path[1], {0}, {0}}), 0);
    devacl_trouble_kills = false;
    devacl_trouble_at = 1; /* the node is restored, the file is not written */
    devacl_trouble_stays = true;
    ck_assert_int_eq(APPLY(devacl, {nodes.path[0], {0}, {0}}), -EIO);
    ck_assert_str_eq(looks(nodes.path[1]), nodes.before[1]);
    devacl_trouble_at = -1;
    ck_assert_int_eq(APPLY(devacl, {nodes.path[0], {0}, {0}}), 0);
    ck_assert_str_eq(devacl_steps, "write sync rename sync-directory ");
    ck_assert_int_eq(APPLY(devacl, {nodes.path[0], {0}, {0}}), 0);
    ck_assert_str_eq(devacl_steps, "");
    devacl_free(devacl);
    devacl = new_devacl();
    ck_assert_uint_eq(devacl_count(devacl), 1);
    ck_assert_int_eq(release(devacl), 0);
    devacl_free(devacl);
}
END_TEST

/* -- a damaged file --------------------------------------------------------------------- */

static size_t read_file(const char *path, char *data, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, data, size);
    close(fd);
    ck_assert_int_gt((int)length, 0);
    return (size_t)length;
}

static void write_file(const char *path, const char *data, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_eq((int)write(fd, data, length), (int)length);
    close(fd);
}

/* Closes the nodes and dies. Returns the file that is left. */
static size_t leave_closed(struct nodes *nodes, char *data, size_t size)
{
    make_nodes(nodes);
    struct devacl *devacl = new_devacl();
    const char *const *path = nodes->path;
    ck_assert_int_eq(APPLY(devacl, {path[0], {0}, {0}}, {path[1], {0}, {0}}, {path[2], {0}, {0}}),
                     0);
    devacl_free(devacl);
    return read_file(in_state("device_access"), data, size);
}

/* Asserts that readable records are restored exactly, that the other nodes stay closed, and
 * that the damage is reported. */
static void check_damaged(const struct nodes *nodes)
{
    char closed[3][512];
    struct devacl *devacl = NULL;
    int r = devacl_new(&devacl_usual, &devacl, &devacl_message);

    ck_assert_str_ne(devacl_message.text, "");
    if (r) { /* "chronos-device-access 2" */
        ck_assert_int_eq(r, -EPROTO);
        ck_assert_ptr_nonnull(strstr(devacl_message.text, "another version"));
        return;
    }
    ck_assert_ptr_nonnull(strstr(devacl_message.text, "is damaged"));
    size_t known = devacl_count(devacl), as_before = 0;
    for (size_t i = 0; i < 3; i++)
        snprintf(closed[i], sizeof(closed[i]), "%s", looks(nodes->path[i]));
    ck_assert_int_eq(release(devacl), 0);
    for (size_t i = 0; i < 3; i++) {
        bool back = strcmp(looks(nodes->path[i]), nodes->before[i]) == 0;
        as_before += back;
        ck_assert(back || strcmp(looks(nodes->path[i]), closed[i]) == 0);
    }
    ck_assert_uint_eq(as_before, known);
    ck_assert_int_eq(access(in_state("device_access.damaged"), F_OK), 0);
    devacl_free(devacl);
    devacl = new_devacl(); /* said once */
    devacl_free(devacl);
}

START_TEST(test_damaged_file)
{
    struct nodes nodes;
    char data[4096];
    size_t length = leave_closed(&nodes, data, sizeof(data));

    for (size_t i = 0; i + 1 < length; i++) { /* cut off; only the last newline may be missing */
        leave_closed(&nodes, data, sizeof(data));
        write_file(in_state("device_access"), data, i);
        check_damaged(&nodes);
    }
    for (size_t i = 0; i < length; i++) {
        leave_closed(&nodes, data, sizeof(data));
        data[i] ^= 1;
        write_file(in_state("device_access"), data, length);
        check_damaged(&nodes);
    }
}
END_TEST

START_TEST(test_newer_file)
{
    static const char text[] = "chronos-device-access 2\nsomething else\nend 1\n";
    struct devacl *devacl = NULL;
    write_file(in_state("device_access"), text, sizeof(text) - 1);
    ck_assert_int_eq(devacl_new(&devacl_usual, &devacl, &devacl_message), -EPROTO);
    ck_assert_ptr_null(devacl);
    ck_assert_ptr_nonnull(strstr(devacl_message.text, "another version"));
    ck_assert(is_saved());
}
END_TEST

/* The damaged file is kept for inspection when a new node enters. */
START_TEST(test_damaged_and_on)
{
    struct nodes nodes;
    char data[4096], kept[4096];
    size_t length = leave_closed(&nodes, data, sizeof(data));
    struct devacl *devacl = NULL;

    write_file(in_state("device_access"), data, length - 10);
    ck_assert_int_eq(devacl_new(&devacl_usual, &devacl, &devacl_message), 0);
    make_node("late", ROOT, ROOT, 0666, NULL);
    ck_assert_int_eq(APPLY(devacl, {in_dev("late"), {0}, {0}}, {nodes.path[0], {0}, {0}}), 0);
    ck_assert_uint_eq(read_file(in_state("device_access.damaged"), kept, sizeof(kept)),
                      length - 10);
    ck_assert_int_eq(memcmp(kept, data, length - 10), 0);
    devacl_free(devacl);
    devacl = new_devacl();
    ck_assert_int_eq(release(devacl), 0);
    devacl_free(devacl);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_killed_at_each_step, test_failure_at_each_step, test_full_disk,     test_written_later,
        test_newer_file,          test_damaged_file,         test_damaged_and_on};
    return devacl_run("device_access-crash", tests, ARRAY_COUNT(tests));
}
