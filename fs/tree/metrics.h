/* SPDX-License-Identifier: Apache-2.0 */
/* The file `metrics`: the state as OpenMetrics 1.0 text. */
#ifndef CHRONOS_TREE_METRICS_H
#define CHRONOS_TREE_METRICS_H

#include "tree.h"

/* Append the content of the file to `out`. */
void metrics_print(struct tree *tree, struct strbuf *out);

#endif
