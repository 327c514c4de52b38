/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a partition about its start, and what it waits for. */
#ifndef CHRONOS_TREE_FILES_WAITS_H
#define CHRONOS_TREE_FILES_WAITS_H

#include "files.h"

/* `promised`: the start, once it has started. */
int files_waits_show_promised(struct tree *tree, const struct node *node, uint32_t uid,
                              struct strbuf *out);
/* `series`: empty if it does not repeat. */
int files_waits_show_series(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out);
/* `priority`: normal, once it has started. */
int files_waits_show_priority(struct tree *tree, const struct node *node, uint32_t uid,
                              struct strbuf *out);
int files_waits_store_priority(struct tree *tree, struct write *write);
/* `reason`: a sentence. */
int files_waits_show_reason(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out);

#endif
