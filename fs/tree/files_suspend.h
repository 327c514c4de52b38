/* SPDX-License-Identifier: Apache-2.0 */
/* What a write to `remaining` does to suspended partitions. */
#ifndef CHRONOS_TREE_FILES_SUSPEND_H
#define CHRONOS_TREE_FILES_SUSPEND_H

#include "files.h"

/* Suspend the partition. 0, a refusal or -errno. */
int files_suspend_store(struct tree *tree, struct write *write);
/* True if it is a duration and the word that waits for room, which only resuming has. */
bool files_suspend_waits(const struct write *write);
/* Give one that is suspended a new lease: "1h", or "1h queue" to wait for room. */
int files_suspend_store_resume(struct tree *tree, struct write *write);

#endif
