/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `charge` of a partition: programs charge device memory to an open file before they
 * request it from the driver; closing the last copy of the descriptor releases the charge. The sums
 * are in ledger.h, the charge of each open file is in the supervisor's memory, so both survive a
 * worker. It must not know what is allocated, nor FUSE.
 */
#ifndef CHRONOS_TREE_CHARGE_H
#define CHRONOS_TREE_CHARGE_H

#include "files.h"
#include "handles.h"

/* Record in the slot the opener's rights to the partition. Writes are judged by them, no matter
 * which process makes them. 0; or 1 if the opener has none, unless its process belongs to the
 * partition: then set opener_member, and each writer must belong to it. -ENODEV: it has ended. */
int charge_open(struct tree *tree, const struct node *node, const struct caller *opener,
                struct shared_handle *slot);
/* "+4096" charges bytes, "-4096" releases them. In a partition with several devices the first line
 * says which one the open file is for, "+4096 gpu1"; in another it may. 0 or, with nothing charged:
 * REFUSED_NO_SPACE above memory_limit; REFUSED_INVALID for a syntax error, a device that it is not
 * for, or if the file has charged less; -EPERM if the opener lost access to the partition;
 * -ETIMEDOUT if the partition ended; -ENOMEM. A write that a dead worker has executed is not
 * executed again. */
int charge_store(struct tree *tree, struct write *write);
/* Release the charge of a file whose last descriptor was closed, or that is not opened after all.
 * Works for files of every kind. */
void charge_close(struct tree *tree, const struct shared_handle *slot);
/* Release what files have charged whose openers may no longer, unless the process that charged last
 * is among those that belong to the partition: `pids`, a line each, in ascending order. */
void charge_settle(struct tree *tree, struct handles *handles, uint64_t id, const char *pids,
                   size_t length);
/* List the partitions with charges of openers who may no longer, ascending, each once; malloc,
 * NULL: none. A worker can have died between taking a user out and settling. 0 or -ENOMEM. */
int charge_owed(struct tree *tree, const struct handles *handles, uint64_t **ret_ids,
                size_t *ret_count);
/* Recompute the sums from the slots when a worker starts. 0 or -ENOMEM. */
int charge_restore(struct tree *tree, const struct handles *handles);

#endif
