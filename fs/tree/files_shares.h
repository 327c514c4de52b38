/* SPDX-License-Identifier: Apache-2.0 */
/* What a partition has of each of its devices. */
#ifndef CHRONOS_TREE_FILES_SHARES_H
#define CHRONOS_TREE_FILES_SHARES_H

#include "files.h"

/* `device`: all of them. */
int files_shares_show_device(struct tree *tree, const struct node *node, uint32_t uid,
                             struct strbuf *out);
/* `devices`: a line for each. */
int files_shares_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out);
/* `memory_limit`: the sum. */
int files_shares_show_limit(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out);
/* `fraction`: of the first, with the fewest digits that give exactly this many bytes when written
 * back. */
int files_shares_show_fraction(struct tree *tree, const struct node *node, uint32_t uid,
                               struct strbuf *out);
/* Resize each of them. */
int files_shares_store_fraction(struct tree *tree, struct write *write);
/* Add the lines about each of several devices to a summary. */
void files_shares_summary(const struct tree *tree, const struct partition *partition,
                          struct strbuf *out);

#endif
