/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition of a job on this node: made, found, released. All of it as root. A partition is the
 * job's by its id in the record; its label, slurm-JOBID, is for people, because users can give that
 * to partitions of their own as well.
 */
#ifndef CHRONOS_SLURM_PARTITION_H
#define CHRONOS_SLURM_PARTITION_H

#include "record.h"
#include "settings.h"

/* Open this node's tree. 0, and the caller closes *ret_mount; or -errno and a sentence. */
int partition_tree(const struct settings *settings, struct chronos_mount *ret_mount,
                   char *ret_sentence, size_t size);
/* Send the request of the record, and set its id or its sentence. With `ret_hold` the partition
 * ends when that descriptor is closed. */
void partition_make(const struct settings *settings, struct record *record, int *ret_hold);
/* Open the directory of the record's partition if it is still that user's. A descriptor, which the
 * caller closes, or -errno and a sentence. */
int partition_open(const struct chronos_mount *mount, const struct record *record, uid_t user,
                   char *ret_sentence, size_t size);
/* Return whether there is a partition of this id, of any user. */
bool partition_exists(const struct chronos_mount *mount, const char *id);
/* Release the record's partition. One that an administrator gave to another user stays, without
 * the label. */
void partition_release(const struct chronos_mount *mount, const struct record *record, uid_t user);
/* Release what root made for jobs that have no record. Return how many. */
int partition_sweep(const struct chronos_mount *mount, int records);

#endif
