/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts that have a lookup of a name of their choice in progress: one each, so that none can
 * fill the queue. It must not know names.
 */
#ifndef CHRONOS_TREE_NAMES_ASKERS_H
#define CHRONOS_TREE_NAMES_ASKERS_H

#include <stdint.h>

#define NAMES_ASKERS_MAX 64u

/* All zero: none. */
struct names_askers {
    uint64_t account[NAMES_ASKERS_MAX]; /* + 1; 0: the place is free */
};

/* Take a place for an account. Return its number, from 1; 0: it has one, or none is free. */
uint32_t names_askers_take(struct names_askers *askers, uint32_t account);
/* Free a place; 0 is allowed. */
void names_askers_free(struct names_askers *askers, uint32_t place);

#endif
