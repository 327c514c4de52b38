/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files collected from the nodes of a cluster: DIR/NODE/history and DIR/NODE/metrics, copies of the
 * files in each node's tree. A node can have several of the first, history.1 or history-2026-11:
 * they may overlap, because ids are never reused.
 */
#ifndef CHRONOS_TOOLS_COLLECTED_H
#define CHRONOS_TOOLS_COLLECTED_H

#include "failure.h"

struct collected_node {
    const char *name;
    const uint64_t *totals; /* memory of gpu0, gpu1, ...; 0: not known */
    size_t total_count;
};

/* Takes one line about a partition. 0 or -errno. */
typedef int collected_fn(void *context, const struct collected_node *node, const char *line);

/* What is missing. */
struct collected_gaps {
    size_t nodes;            /* that were read */
    unsigned long long lost; /* lines that a node's history had dropped before it was copied */
    unsigned long long bad;  /* lines that are not of a history */
    char first_bad[512];     /* where the first of them is */
    struct failure_skipped skipped; /* nodes that could not be read */
};

/* Read all nodes in the order of their names, and each partition once. 0; or -errno, without an
 * answer. */
int collected_read(const char *directory, collected_fn *each, void *context,
                   struct collected_gaps *ret_gaps);

#endif
