/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outcome of each user's last write, as a message: what `status` shows.
 */
#ifndef CHRONOS_TREE_STATUS_H
#define CHRONOS_TREE_STATUS_H

#include "shared.h"

/* Set the message that user `uid` reads next. Copied; long messages are truncated. */
void status_set(struct shared *shared, uint32_t uid, const char *message);
/* Return the user's message, borrowed; a default if there is none. */
const char *status_get(const struct shared *shared, uint32_t uid);

#endif
