/* SPDX-License-Identifier: Apache-2.0 */
/* What a shim learns from its environment. */
#include "tests/check.h"
#include "tools/libchronos/chronos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    return check_main("environment", NULL, NULL, test_environment);
}
