/* SPDX-License-Identifier: Apache-2.0 */
/* What other users can change; see others.h. */
#include "others.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool others_can_change(const struct stat *st)
{
    bool owned = st->st_uid == 0 || st->st_uid == geteuid();
    bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;
    return !owned || ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky);
}

int others_check_above(const char *path, char ret_part[static PATH_MAX])
{
    char part[PATH_MAX];
    struct stat st;
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash; (slash = strrchr(part, '/'));) {
        slash[slash == part] = '\0';
        if (stat(part, &st) != 0 || others_can_change(&st)) {
            memcpy(ret_part, part, sizeof(part));
            return -EPERM;
        }
        if (part[1] == '\0')
            return 0;
    }
    return -EINVAL;
}
