/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `env` of a partition: lines for a POSIX shell to source, so that programs it starts run
 * inside the partition. It must not know what the variables mean.
 */
#ifndef CHRONOS_TREE_ENV_H
#define CHRONOS_TREE_ENV_H

#include "tree.h"

/* Append the lines to `out`. Quote every value, so that no mount point is split into words or
 * executed. */
void env_print(struct tree *tree, const struct partition *partition, struct strbuf *out);

#endif
