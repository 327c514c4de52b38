/* SPDX-License-Identifier: Apache-2.0 */
/* The part of `metrics` that is about no device: what was counted, and what the daemon sees. */
#ifndef CHRONOS_TREE_METRICS_DAEMON_H
#define CHRONOS_TREE_METRICS_DAEMON_H

#include "tree.h"

/* Begin a family of figures. `unit` NULL: it has none. */
void metrics_head(const char *name, const char *type, const char *unit, const char *help,
                  struct strbuf *out);
/* Print a family of one figure without labels; the name of a counter is without "_total". */
void metrics_count(const char *name, const char *type, const char *help, uint64_t value,
                   struct strbuf *out);
void metrics_daemon_print(struct tree *tree, struct strbuf *out);

#endif
