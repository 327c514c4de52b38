/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mechanism enforces which limit of a partition now, a row per limit. docs/enforcement.md
 * describes the guarantees and gaps of each mechanism.
 */
#ifndef CHRONOS_TREE_ENFORCEMENT_H
#define CHRONOS_TREE_ENFORCEMENT_H

#include "tree.h"

/* Append the content of the file `enforcement`. */
void enforcement_print(struct tree *tree, const struct partition *partition, struct strbuf *out);

#endif
