/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files `env` and `environment` of a partition: the variables of programs inside it, for a
 * POSIX shell, which joins too, and for others.
 */
#ifndef CHRONOS_TREE_ENV_H
#define CHRONOS_TREE_ENV_H

#include "tree.h"

/* Append the lines to `out`. Quote every value, so that no mount point is split into words or
 * executed. */
void env_print(struct tree *tree, const struct partition *partition, struct strbuf *out);
/* Append the same variables as NAME=VALUE, one per line, without quotes. */
void env_print_plain(struct tree *tree, const struct partition *partition, struct strbuf *out);

#endif
