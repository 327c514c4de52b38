/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files `env` and `environment` of a partition: the variables of programs inside it, for a
 * POSIX shell, which joins too, and for others.
 */
#ifndef CHRONOS_TREE_ENV_H
#define CHRONOS_TREE_ENV_H

#include "tree.h"

#include <limits.h>

/* Room for a value: a list of libraries, or paths in the tree. */
#define ENV_VALUE_MAX (PATH_MAX + 64)

typedef void env_variable_fn(void *context, const char *name, const char *value);
/* Pass each variable of the partition to `take`. */
void env_each(struct tree *tree, const struct partition *partition, env_variable_fn *take,
              void *context);
/* Print the value of CHRONOS_PARTITION into `text`, of ENV_VALUE_MAX bytes. True. */
bool env_print_directories(struct tree *tree, const struct partition *partition, char *text);
/* Append the lines to `out`. Quote every value, so that no mount point is split into words or
 * executed. */
void env_print(struct tree *tree, const struct partition *partition, struct strbuf *out);
/* Append the same variables as NAME=VALUE, one per line, without quotes. */
void env_print_plain(struct tree *tree, const struct partition *partition, struct strbuf *out);

#endif
