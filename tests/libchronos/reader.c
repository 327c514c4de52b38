/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the environment's partitions, their number, the policy, and whether the tree that it names
 * was looked for. */
#include "tools/libchronos/client.h"

#include <stdio.h>
#include <string.h>

int main(void)
{
    struct chronos_environment environment;
    if (chronos_environment_read(&environment) < 0)
        return 1;
    printf("%u ", environment.count);
    for (unsigned i = 0; i < environment.count; i++)
        printf("%s ", environment.directory[i]);
    printf("%s ", environment.allow_unreachable ? "allow" : "refuse");
    chronos_environment_release(&environment);
    struct chronos_mount mount;
    char failed[PATH_MAX];
    int r = chronos_mount_open(NULL, failed, &mount);
    printf("%s\n", r && strcmp(failed, "/named") == 0 ? "named" : "searched");
    if (!r)
        chronos_mount_close(&mount);
    return 0;
}
