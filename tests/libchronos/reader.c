/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what the environment says about partitions: how many, which, the policy. */
#include "tools/libchronos/environment.h"

#include <stdio.h>

int main(void)
{
    struct inside inside;
    if (inside_read(&inside) < 0)
        return 1;
    printf("%u ", inside.count);
    for (unsigned i = 0; i < inside.count; i++)
        printf("%s ", inside.directory[i]);
    printf("%s\n", inside.allow_unreachable ? "allow" : "refuse");
    inside_free(&inside);
    return 0;
}
