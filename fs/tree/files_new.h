/* SPDX-License-Identifier: Apache-2.0 */
/* `new`: shown and written the same way in the root and in every device. */
#ifndef CHRONOS_TREE_FILES_NEW_H
#define CHRONOS_TREE_FILES_NEW_H

#include "files.h"

/* Show the grammar. */
int files_new_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out);
/* Grant the request in `write` on a device or ENGINE_DEVICE_ANY; the id goes to write->result. */
int files_new_store(struct tree *tree, struct write *write, uint32_t device);
/* `suggest`, likewise: what would be accepted in place of the request goes to tree->scratch. */
int files_new_show_suggest(struct tree *tree, const struct node *node, uint32_t uid,
                           struct strbuf *out);
int files_new_store_suggest(struct tree *tree, struct write *write, uint32_t device);

#endif
