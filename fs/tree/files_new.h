/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `new`: what both the root and every device show and do with a request.
 */
#ifndef CHRONOS_TREE_FILES_NEW_H
#define CHRONOS_TREE_FILES_NEW_H

#include "files.h"

/* Shows the grammar. */
int files_new_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out);
/* Grants the request in `write` on a device or ENGINE_DEVICE_ANY; write->result is the id. */
int files_new_store(struct tree *tree, struct write *write, uint32_t device);

#endif
