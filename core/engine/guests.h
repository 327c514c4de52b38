/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests: the users that the owner of a partition lets in by name, beside those that its mode lets
 * in. A plain set; it must not know partitions.
 */
#ifndef CHRONOS_ENGINE_GUESTS_H
#define CHRONOS_ENGINE_GUESTS_H

#include <stdbool.h>
#include <stdint.h>

/* The most guests of a partition. More people than that are a group: chgrp. */
#define GUESTS_MAX 16
/* The most guests in all partitions of an account, each counted as often as they are in. */
#define GUESTS_ACCOUNT_MAX 256

/* All zero: empty. */
struct guests {
    uint32_t count;
    uint32_t uid[GUESTS_MAX]; /* ascending */
};

/* Return whether a user is in; NULL is empty. */
bool guests_has(const struct guests *guests, uint32_t uid);
/* Add a user. False: they are in already, or the set is full. */
bool guests_put(struct guests *guests, uint32_t uid);
/* Take a user out. False: they are not in. */
bool guests_drop(struct guests *guests, uint32_t uid);

#endif
