/* SPDX-License-Identifier: Apache-2.0 */
/* What is behind the handles of chronos.h. */
#ifndef CHRONOS_LIBCHRONOS_PARTITIONER_H
#define CHRONOS_LIBCHRONOS_PARTITIONER_H

#include "chronos.h"
#include "client.h"
#include "core/base/message.h"
#include "held.h"

#include <stdatomic.h>
#include <stdbool.h>

struct chronos_partitioner {
    /* Never changes; when the daemon was started again, another file is put at its descriptor. */
    struct chronos_mount mount;
    bool searched;        /* the tree was found, not named */
    _Atomic dev_t device; /* of the mount */
    ino_t inode;          /* of its root */
    char backend[32];
    struct held_list held;
};

/* Keep a sentence for the calling thread and return r. */
int partitioner_fail(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Keep a sentence that names the devices that are there, and return -ENODEV. */
int partitioner_fail_no_device(const struct chronos_partitioner *self, const char *device);
/* Check the handle and, unless it is NULL, the id: 0, or -EINVAL with a sentence. */
int partitioner_check(const struct chronos_partitioner *self, const char *id);

/* Return whether to try again because the daemon was started again since the handle was made.
 * *tried keeps that this was tried once. Only for what changes nothing. */
bool partitioner_again(struct chronos_partitioner *self, int r, bool *tried);
/* Open a file of the tree: `name` in partition `id`, or in the mount point if that is NULL. A
 * descriptor, or a negative errno without a sentence. */
int partitioner_file(struct chronos_partitioner *self, const char *id, const char *name, int flags);
/* Write a line to such a file. 0, or a negative errno with a sentence, which is that of chronosfs
 * or begins with `what`. */
int partitioner_write(struct chronos_partitioner *self, const char *id, const char *name,
                      const char *text, const char *what);
/* Keep a sentence about partition `id` (NULL: about the tree) that begins with `what`, and return r
 * or, if the partition does not exist, -ENOENT. */
int partitioner_report(struct chronos_partitioner *self, const char *id, const char *what, int r);
/* The same after a write that chronosfs refused. */
int partitioner_refused(struct chronos_partitioner *self, const char *id, const char *what, int r);

#endif
