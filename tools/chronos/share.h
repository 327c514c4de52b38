/* SPDX-License-Identifier: Apache-2.0 */
/* The file `members` of a partition. */
#ifndef CHRONOS_TOOLS_SHARE_H
#define CHRONOS_TOOLS_SHARE_H

#include "command.h"

/* Let the users after the ID in ('+') or take them out ('-'), and print who is in. */
int share_change(const struct chronos_mount *mount, const struct args *args, char sign);
/* Read who is in, one name a line; free it. "" if that cannot be known. NULL: out of memory. */
char *share_read(const struct chronos_mount *mount, const char *id);
/* Print the names that share_read returned, with ", " between. */
void share_print(const char *members);

#endif
