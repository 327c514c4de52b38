/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the environment's partitions, their number, and the policy. */
#include "tools/libchronos/client.h"

#include <stdio.h>

int main(void)
{
    struct chronos_environment environment;
    if (chronos_environment_read(&environment) < 0)
        return 1;
    printf("%u ", environment.count);
    for (unsigned i = 0; i < environment.count; i++)
        printf("%s ", environment.directory[i]);
    printf("%s\n", environment.allow_unreachable ? "allow" : "refuse");
    chronos_environment_release(&environment);
    return 0;
}
