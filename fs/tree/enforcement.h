/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps which limit of a partition now. One row a limit; what a mechanism
 * guarantees and how it can be got around is in docs/enforcement.md.
 */
#ifndef CHRONOS_TREE_ENFORCEMENT_H
#define CHRONOS_TREE_ENFORCEMENT_H

#include "tree.h"

/* Adds the lines of the file `enforcement`. */
void enforcement_print(struct tree *tree, const struct partition *partition, struct strbuf *out);

#endif
