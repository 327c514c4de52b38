/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `charge` of a partition: programs book device memory on an open file of
 * it before they ask the driver, and what a file has booked is given back when its
 * last copy closes. The sums live in usage.h, what each open file has booked in the
 * memory that the supervisor holds, so that both are right under the next worker.
 * It must not know what is allocated with it, nor FUSE.
 */
#ifndef CHRONOS_TREE_CHARGE_H
#define CHRONOS_TREE_CHARGE_H

#include "files.h"
#include "handles.h"

/* Notes in the slot what the opener is to the partition: a write is judged by that,
 * whoever makes it. */
void charge_open(struct tree *tree, const struct node *node, const struct caller *opener,
                 struct shared_handle *slot);
/* "+4096" books bytes, "-4096" gives back. 0; REFUSED_NO_SPACE over memory_limit;
 * REFUSED_INVALID not understood, or more than this file has booked; -EPERM since it
 * was opened, the partition became another's; -ETIMEDOUT it ended; -ENOMEM. Nothing is
 * booked then. A write that comes again because a worker died is not done twice. */
int charge_store(struct tree *tree, struct write *write);
/* The last copy of the descriptor closed: gives back what it had booked. Cheap, and
 * right, for files of every kind. */
void charge_close(struct tree *tree, const struct shared_handle *slot);
/* Makes the sums anew from the slots, when a worker starts. 0 or -ENOMEM. */
int charge_restore(struct tree *tree, const struct handles *handles);

#endif
