/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outcome of each user's last write, as a message: what `status` shows. Room is shared out by
 * account: many uids of one person push out only each other's messages.
 */
#ifndef CHRONOS_TREE_STATUS_H
#define CHRONOS_TREE_STATUS_H

#include "shared.h"
#include "tree.h"

/* Set the message that user `uid` reads next. Copied; long messages are truncated. */
void status_set(struct tree *tree, uint32_t uid, const char *message);
/* Return the user's message, borrowed; a default if there is none. */
const char *status_get(struct tree *tree, uint32_t uid);

#endif
