/* SPDX-License-Identifier: Apache-2.0 */
/* How a shim finds its partitions: by its environment, and by their files. */
#include "fixture.h"

#include <errno.h>

START_TEST(test_environment)
{
    struct chronos_environment environment;
    char list[256] = "";
    for (int i = 0; i < CHRONOS_PARTITIONS_MAX + 3; i++)
        sprintf(list + strlen(list), "/p%d::", i);
    setenv("CHRONOS_PARTITION", list, 1);
    setenv("CHRONOS_UNREACHABLE", "allows", 1);
    setenv("CHRONOS_DEBUG", "", 1);
    ck_assert_int_eq(chronos_environment_read(&environment), 0);
    ck_assert_uint_eq(environment.count, CHRONOS_PARTITIONS_MAX);
    ck_assert_str_eq(environment.directory[0], "/p0");
    ck_assert_str_eq(environment.directory[CHRONOS_PARTITIONS_MAX - 1], "/p15");
    ck_assert(!environment.allow_unreachable && !environment.debug);
    chronos_environment_release(&environment);
    ck_assert_uint_eq(environment.count, 0);
    setenv("CHRONOS_PARTITION", ":", 1);
    setenv("CHRONOS_UNREACHABLE", "allow", 1);
    setenv("CHRONOS_DEBUG", "1", 1);
    ck_assert_int_eq(chronos_environment_read(&environment), 0);
    ck_assert_uint_eq(environment.count, 0);
    ck_assert(environment.allow_unreachable && environment.debug);
    unsetenv("CHRONOS_PARTITION");
    ck_assert_int_eq(chronos_environment_read(&environment), 0);
    ck_assert_uint_eq(environment.count, 0);
}
END_TEST

/* A container with several partitions has a variable for each, beside that of the last. */
START_TEST(test_further)
{
    struct chronos_environment environment;
    setenv("CHRONOS_PARTITION_p12", "/gpu1/p12:/gpu2/p12", 1);
    setenv("CHRONOS_PARTITION_p3", "/gpu0/p3", 1);
    setenv("CHRONOS_PARTITION_p", "/no", 1);
    setenv("CHRONOS_PARTITION_p1x", "/no", 1);
    setenv("CHRONOS_PARTITION_P1", "/no", 1);
    setenv("CHRONOS_PARTITIONS_p1", "/no", 1);
    unsetenv("CHRONOS_PARTITION");
    ck_assert_int_eq(chronos_environment_read(&environment), 0);
    ck_assert_uint_eq(environment.count, 0);
    setenv("CHRONOS_PARTITION", "/gpu0/p3", 1);
    ck_assert_int_eq(chronos_environment_read(&environment), 0);
    ck_assert_uint_eq(environment.count, 3);
    ck_assert_str_eq(environment.directory[0], "/gpu0/p3");
    ck_assert_str_eq(environment.directory[1], "/gpu1/p12");
    ck_assert_str_eq(environment.directory[2], "/gpu2/p12");
    chronos_environment_release(&environment);
}
END_TEST

START_TEST(test_lines)
{
    char line[8];
    put("file", "seven77\nmore\n");
    ck_assert_int_eq(chronos_read_line(directory, "file", line, sizeof(line)), 0);
    ck_assert_str_eq(line, "seven77");
    ck_assert_int_eq(chronos_read_line(directory, "file", line, 7), -ENAMETOOLONG);
    put("file", "end");
    ck_assert_int_eq(chronos_read_line(directory, "file", line, sizeof(line)), 0);
    ck_assert_str_eq(line, "end");
    ck_assert_int_eq(chronos_read_line(directory, "none", line, sizeof(line)), -ENOENT);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(chronos_read_line(directory + 1, "file", line, sizeof(line)), -ENOENT);
    ck_assert_str_eq(line, "end");
}
END_TEST

START_TEST(test_numbers)
{
    uint64_t number = 7;
    const char *const wrong[] = {"",     "\n",   "-5\n",  " 5\n",
                                 "+5\n", "5x\n", "max\n", "18446744073709551616\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        put("file", wrong[i]);
        ck_assert_msg(chronos_read_number(directory, "file", &number) == -EINVAL, "%s", wrong[i]);
    }
    ck_assert_int_eq(chronos_read_number(directory, "none", &number), -ENOENT);
    ck_assert_uint_eq(number, 7);
    put("file", "18446744073709551615\n");
    ck_assert_int_eq(chronos_read_number(directory, "file", &number), 0);
    ck_assert_uint_eq(number, UINT64_MAX);
    put("file", "0\n");
    ck_assert_int_eq(chronos_read_number(directory, "file", &number), 0);
    ck_assert_uint_eq(number, 0);
}
END_TEST

START_TEST(test_ended)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/p1", directory);
    ck_assert(chronos_has_ended(path));
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert(!chronos_has_ended(path));
    snprintf(path, sizeof(path), "%s/none/p1", directory);
    ck_assert(!chronos_has_ended(path));
    ck_assert(!chronos_has_ended("/nonexistent"));
    ck_assert(!chronos_has_ended("nonexistent"));
    put("file", "no directory");
    snprintf(path, sizeof(path), "%s/file/p1", directory);
    ck_assert(!chronos_has_ended(path));
}
END_TEST

int main(void)
{
    return check_main("environment", begin, end, test_environment, test_further, test_lines,
                      test_numbers, test_ended);
}
