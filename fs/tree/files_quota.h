/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas of users and groups, as files. */
#ifndef CHRONOS_TREE_FILES_QUOTA_H
#define CHRONOS_TREE_FILES_QUOTA_H

#include "files.h"

/* A file `quota`: the limits in force; a write sets one. */
int files_quota_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out);
int files_quota_store(struct tree *tree, struct write *write);
/* What the user or the group of a node holds and has used. */
int files_quota_show_usage(struct tree *tree, const struct node *node, uint32_t uid,
                           struct strbuf *out);
/* Find the group whose quota a request counts for, too: the one of this name, or "". 0 and *ret_gid
 * (0: none), or a refusal. */
int files_quota_group(struct tree *tree, struct write *write, const char *name, uint32_t owner_uid,
                      uint32_t owner_gid, uint32_t *ret_gid);

#endif
