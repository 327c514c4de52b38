/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node ids. They are computed from what they name, never allocated: every worker understands the
 * ids that the kernel got from another.
 */
#ifndef CHRONOS_TREE_NODE_H
#define CHRONOS_TREE_NODE_H

#include <stdbool.h>
#include <stdint.h>

/* The kinds of directories. The numbers are part of node ids, which kernels remember across an
 * upgrade: never change one. */
enum dir_kind {
    DIR_ROOT = 0,
    DIR_CONFIG = 1,
    DIR_USERS = 2,
    DIR_USER = 3,       /* object: uid */
    DIR_DEVICE = 4,     /* object: index */
    DIR_PARTITIONS = 5, /* object of a link: partition id */
    DIR_PARTITION = 6,  /* object: partition id */
    DIR_GROUPS = 7,
    DIR_GROUP = 8, /* object: gid */
    DIR_KINDS
};

/* Objects are below 1 << NODE_OBJECT_BITS. */
#define NODE_OBJECT_BITS 40
/* Devices are below this. */
#define NODE_DEVICES 2048

/* What a node id stands for. */
struct node {
    enum dir_kind dir;
    uint64_t object;
    uint16_t file; /* hash of the file's name; 0: the directory itself */
    bool link;     /* DIR_PARTITIONS: a link to partition `object` */
    uint8_t share; /* of a link: the share whose device has it, not 0; 0: it is in `partitions` */
    uint32_t uid;  /* the user whose own node it is (see own.h); 0 if shared */
};

/* Return the id of a node; 1 is the root. */
uint64_t tree_node_id(const struct node *node);
/* Return false for a malformed id. The node need not exist. */
bool tree_node_from_id(uint64_t id, struct node *ret_node);
/* Return whether users can have nodes of their own instead of this one. */
bool tree_node_can_be_own(const struct node *node);
/* Return the hash that stands for a file's name in node ids; never 0. */
uint16_t tree_node_hash(const char *name);

#endif
