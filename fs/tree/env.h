/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `env` of a partition: lines that a POSIX shell sources, so that what it
 * starts then runs inside the partition. It must not know what the variables do.
 */
#ifndef CHRONOS_TREE_ENV_H
#define CHRONOS_TREE_ENV_H

#include "tree.h"

/* Adds the lines to `out`. Whatever the mount point is called, each value is one word
 * of the shell and nothing in it is run. */
void env_print(struct tree *tree, const struct partition *partition, struct strbuf *out);

#endif
