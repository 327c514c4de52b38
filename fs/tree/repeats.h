/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations that repeat: each occurrence is a partition of its own; all are made, or none. It
 * must not know how a request is written.
 */
#ifndef CHRONOS_TREE_REPEATS_H
#define CHRONOS_TREE_REPEATS_H

#include "asked.h"

/* Make all occurrences, or with `skip` those that fit. The id of the first goes to write->result,
 * and what was made to write->why. 0, -errno, or a refusal about the first that does not fit. */
int repeats_create(struct tree *tree, struct write *write, struct asked *asked);

#endif
