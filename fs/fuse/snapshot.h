/* SPDX-License-Identifier: Apache-2.0 */
/* Make a backup for a reader of the file `backup`; backup.c hands it out. */
#ifndef CHRONOS_FUSE_SNAPSHOT_H
#define CHRONOS_FUSE_SNAPSHOT_H

#include "committer.h"

/* Do what a REPLY_BACKUP says. Call it on the thread that owns the store; the answer is given by
 * another. */
void snapshot_answer(struct store *store, const struct reply *reply);

#endif
