/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a write before it is executed: one line, of a caller who may write here. */
#ifndef CHRONOS_FUSE_WRITE_CHECK_H
#define CHRONOS_FUSE_WRITE_CHECK_H

#include "fs/tree/files.h"
#include "fs/tree/handles.h"

/* Check that a write is one line, which need not end with a newline: each write is a whole one. 0,
 * with the length without the newline, or a refusal. */
int write_check_line(const char *data, size_t size, size_t *ret_length, struct refusal *why);
/* The writer must be the opener: a privileged program that inherits the descriptor must not be
 * tricked into writing for another user. */
int write_check_writer(struct tree *tree, const struct node *node, struct write *write,
                       const struct shared_handle *handle);

#endif
