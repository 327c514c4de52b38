/* SPDX-License-Identifier: Apache-2.0 */
/* Where what belongs to a device lies; see sharing.h. */
#include "sharing.h"

#include <stdio.h>
#include <string.h>

bool sharing_directory(const char *root, const char *uuid, char ret_path[static SHARING_PATH_MAX])
{
    size_t length = strlen(uuid);

    if (length == 0 || strspn(uuid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789-") != length)
        return false;
    return snprintf(ret_path, SHARING_PATH_MAX, "%s/%s", root, uuid) < SHARING_PATH_MAX;
}

void sharing_mps_pipe(const char *directory, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/pipe", directory);
}
