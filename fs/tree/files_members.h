/* SPDX-License-Identifier: Apache-2.0 */
/* The file `members` of a partition, and who may open its `procs` for writing. */
#ifndef CHRONOS_TREE_FILES_MEMBERS_H
#define CHRONOS_TREE_FILES_MEMBERS_H

#include "files.h"

int files_members_show(struct tree *tree, const struct node *node, uint32_t uid,
                       struct strbuf *out);
int files_members_store(struct tree *tree, struct write *write);
/* For `opened` of a row. */
int files_members_open(struct tree *tree, const struct node *node, const struct caller *opener,
                       struct shared_handle *slot);

#endif
