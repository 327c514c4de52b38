/* SPDX-License-Identifier: Apache-2.0 */
/* Whether users other than root and this one can change what a path leads to. */
#ifndef CHRONOS_BASE_OTHERS_H
#define CHRONOS_BASE_OTHERS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Return whether others can change a file or directory. In a directory with the sticky bit they
 * cannot replace what is not theirs. The group's bits of st_mode show access control lists, too. */
bool others_can_change(const struct stat *st);
/* Check all directories above an absolute path without links. 0; or -EPERM, with the first of them
 * that others can change; or -EINVAL. */
int others_check_above(const char *path, char ret_part[static PATH_MAX]);

#endif
