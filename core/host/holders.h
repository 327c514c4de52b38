/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The users and groups that may open the device nodes of partitions. They are in the order in which
 * a list that is too short takes them. It must not know nodes.
 */
#ifndef CHRONOS_HOST_HOLDERS_H
#define CHRONOS_HOST_HOLDERS_H

#include "allocations.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A user or group with access to the nodes of a device. */
struct holder {
    uint32_t device, id;
    bool is_group, is_guest;
    uint32_t account;   /* of the partition's owner */
    uint32_t turn;      /* 0: the account's first on this device */
    uint64_t partition; /* the oldest one that gives it this access */
};

/* All zero: empty. The owner frees `holder`. */
struct holders {
    struct holder *holder; /* accounts in turn, then by age of their partitions; each once */
    size_t count, capacity;
    bool full; /* no list has room for another account */
};

/* Find the holders of all partitions. 0 or -ENOMEM. */
int holders_find(struct holders *holders, const struct allocations *allocations);

#endif
