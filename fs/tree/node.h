/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node id names. Ids are computed, never handed out: a worker knows every id that
 * the kernel got from another.
 */
#ifndef CHRONOS_TREE_NODE_H
#define CHRONOS_TREE_NODE_H

#include <stdbool.h>
#include <stdint.h>

/* The kinds of directories; the numbers are part of node ids that kernels
 * remember across an upgrade: never change one. */
enum dir_kind {
    DIR_ROOT = 0,
    DIR_CONFIG = 1,
    DIR_USERS = 2,
    DIR_USER = 3,       /* object: uid */
    DIR_DEVICE = 4,     /* object: index */
    DIR_PARTITIONS = 5, /* the links; object of a link: partition id */
    DIR_PARTITION = 6,  /* object: partition id */
    DIR_KINDS
};

/* Objects are smaller than 1 << NODE_OBJECT_BITS. */
#define NODE_OBJECT_BITS 40

/* What a node id names. */
struct node {
    enum dir_kind dir;
    uint64_t object;
    uint16_t file; /* hash of the file's name; 0 the directory itself */
    bool link;     /* DIR_PARTITIONS: the link of partition `object` */
};

/* The root is 1. */
uint64_t tree_node_id(const struct node *node);
/* False for a number that names nothing. */
bool tree_node_from_id(uint64_t id, struct node *ret_node);
/* The hash of a file's name that stands for it in node ids; never 0. */
uint16_t tree_node_hash(const char *name);

#endif
