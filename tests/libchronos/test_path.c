/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a tree, and reading and writing its files. */
#include "fixture.h"

#include <errno.h>

START_TEST(test_read)
{
    char text[8] = "before", *all;
    ck_assert_int_eq(chronos_read(tree.root, "none", text, sizeof(text)), -ENOENT);
    ck_assert_str_eq(text, "before");
    put("file", "one\n");
    ck_assert_int_eq(chronos_read(tree.root, "file", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "one");
    put("file", "one\ntwo\n\n");
    ck_assert_int_eq(chronos_read(tree.root, "file", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "one\ntwo");
    ck_assert_int_eq(chronos_read_all(tree.root, "file", &all), 0);
    ck_assert_str_eq(all, "one\ntwo\n\n");
    free(all);
    put("file", "");
    ck_assert_int_eq(chronos_read(tree.root, "file", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(chronos_read_all(tree.root, "none", &all), -ENOENT);
}
END_TEST

START_TEST(test_read_large)
{
    enum { LENGTH = 100000 };
    static char text[LENGTH + 1];
    char *all;
    memset(text, 'x', LENGTH);
    put("file", text);
    ck_assert_int_eq(chronos_read_all(tree.root, "file", &all), 0);
    ck_assert_str_eq(all, text);
    free(all);
}
END_TEST

START_TEST(test_write)
{
    char text[512] = "", read[513];
    put("file", "");
    ck_assert_int_eq(chronos_write(tree.root, "file", "+30m"), 0);
    ck_assert_int_eq(chronos_read(tree.root, "file", read, sizeof(read)), 0);
    ck_assert_str_eq(read, "+30m");
    memset(text, 'x', 510);
    ck_assert_int_eq(chronos_write(tree.root, "file", text), 0);
    text[510] = 'x';
    ck_assert_int_eq(chronos_write(tree.root, "file", text), -E2BIG);
    ck_assert_int_eq(chronos_write(tree.root, "none", "x"), -ENOENT);
}
END_TEST

START_TEST(test_list)
{
    static const char *const names[] = {
        "p10",  "p9", "p0", "p100", "p", "p01", "px", "p1x", "p-1", "gpu3", "p9999999999999999999",
        "other"};
    static const uint64_t wanted[] = {0, 9, 10, 100};
    uint64_t *numbers;
    size_t count;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        put(names[i], "");
    ck_assert_int_eq(chronos_list(tree.root, ".", "p", &numbers, &count), 0);
    ck_assert_uint_eq(count, ARRAY_COUNT(wanted));
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(numbers[i], wanted[i]);
    free(numbers);
    ck_assert_int_eq(chronos_list(tree.root, ".", "nothing", &numbers, &count), 0);
    ck_assert_uint_eq(count, 0);
    free(numbers);
    ck_assert_int_eq(chronos_list(tree.root, "none", "p", &numbers, &count), -ENOENT);
    ck_assert_int_eq(chronos_list(tree.root, "p10", "p", &numbers, &count), -ENOTDIR);
}
END_TEST

START_TEST(test_list_many)
{
    uint64_t *numbers;
    size_t count;
    char name[16];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "p%d", 199 - i);
        put(name, "");
    }
    ck_assert_int_eq(chronos_list(tree.root, ".", "p", &numbers, &count), 0);
    ck_assert_uint_eq(count, 200);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(numbers[i], i);
    free(numbers);
}
END_TEST

START_TEST(test_parse)
{
    uint64_t id = 7;
    unsigned index = 7;
    static const char *const no_ids[] = {
        "", "p", "12", "p012", "p+1", "p 1", "p1 ", "../p1", "p1234567890123456789"};
    static const char *const no_devices[] = {"", "gpu", "gpu01", "00", "any", "-1", "10000", "0x1"};
    for (size_t i = 0; i < ARRAY_COUNT(no_ids); i++)
        ck_assert_msg(!chronos_parse_id(no_ids[i], &id), "%s", no_ids[i]);
    for (size_t i = 0; i < ARRAY_COUNT(no_devices); i++)
        ck_assert_msg(!chronos_parse_device(no_devices[i], &index), "%s", no_devices[i]);
    ck_assert(id == 7 && index == 7);
    ck_assert(chronos_parse_id("p123456789012345678", &id));
    ck_assert_uint_eq(id, 123456789012345678);
    ck_assert(chronos_parse_device("gpu9999", &index) && index == 9999);
    ck_assert(chronos_parse_device("0", &index) && index == 0);
    ck_assert_uint_eq(chronos_number("42"), 42);
    ck_assert_uint_eq(chronos_number("42 "), 0);
    ck_assert_uint_eq(chronos_number(""), 0);
    ck_assert(chronos_is_gone(-ESTALE) && chronos_is_gone(-ENODEV) && chronos_is_gone(-ENOENT));
    ck_assert(!chronos_is_gone(0) && !chronos_is_gone(-EACCES));
}
END_TEST

START_TEST(test_refusal)
{
    char message[64] = "before";
    ck_assert_int_eq(chronos_read_refusal(&tree, -EPERM, message, sizeof(message)), -ENOENT);
    put("status", "\n");
    ck_assert_int_eq(chronos_read_refusal(&tree, -EPERM, message, sizeof(message)), -ENOENT);
    put("status", "Not yours.\n");
    ck_assert_int_eq(chronos_read_refusal(&tree, -ENOSPC, message, sizeof(message)), -ENOENT);
    ck_assert_str_eq(message, "before");
    ck_assert_int_eq(chronos_read_refusal(&tree, -EPERM, message, sizeof(message)), 0);
    ck_assert_str_eq(message, "Not yours.");
    put("status", "Not enough available memory on gpu0.\n");
    ck_assert_int_eq(chronos_read_refusal(&tree, -ENOSPC, message, sizeof(message)), 0);
    ck_assert_str_eq(message, "Not enough available memory on gpu0.");
}
END_TEST

START_TEST(test_mount)
{
    struct chronos_mount found;
    char failed[PATH_MAX];
    ck_assert_int_eq(chronos_mount_open(directory, failed, &found), -ENOENT);
    ck_assert_str_eq(failed, directory);
    ck_assert_int_eq(chronos_mount_open("/proc", failed, &found), -ENOTDIR);
    put("partitions/p1/name", "");
    setenv("CHRONOS_MOUNT", "/nonexistent", 1);
    ck_assert_int_eq(chronos_mount_open(NULL, failed, &found), -ENOENT);
    ck_assert_str_eq(failed, "/nonexistent");
    ck_assert_int_eq(chronos_mount_open(directory, failed, &found), 0);
    chronos_mount_close(&found);
    setenv("CHRONOS_MOUNT", directory, 1);
    ck_assert_int_eq(chronos_mount_open(NULL, failed, &found), 0);
    ck_assert_str_eq(found.path, directory);
    ck_assert_int_eq(faccessat(found.root, "partitions", F_OK, 0), 0);
    chronos_mount_close(&found);
    ck_assert_int_eq(found.root, -1);
    unsetenv("CHRONOS_MOUNT");
}
END_TEST

int main(void)
{
    return check_main("path", begin, end, test_read, test_read_large, test_write, test_list,
                      test_list_many, test_parse, test_refusal, test_mount);
}
