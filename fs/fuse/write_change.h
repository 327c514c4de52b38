/* SPDX-License-Identifier: Apache-2.0 */
/* What a setattr of the kernel (chmod, chown, touch) asks for, and what it did. */
#ifndef CHRONOS_FUSE_WRITE_CHANGE_H
#define CHRONOS_FUSE_WRITE_CHANGE_H

#include "fs/tree/tree.h"

#include <sys/stat.h>

struct attribute_change write_change_read(const struct stat *attr, int to_set);
/* Report what was done, in `why`. */
void write_change_message(struct tree *tree, const struct node *node, const struct attributes *a,
                          const struct attribute_change *change, struct refusal *why);

#endif
