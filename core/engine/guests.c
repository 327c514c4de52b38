/* SPDX-License-Identifier: Apache-2.0 */
/* A set of users; see guests.h. */
#include "guests.h"

#include <string.h>

/* Return the number of users below `uid`. */
static uint32_t find(const struct guests *guests, uint32_t uid)
{
    uint32_t at = 0;

    while (at < guests->count && guests->uid[at] < uid)
        at++;
    return at;
}

bool guests_has(const struct guests *guests, uint32_t uid)
{
    uint32_t at = guests ? find(guests, uid) : 0;

    return guests && at < guests->count && guests->uid[at] == uid;
}

bool guests_put(struct guests *guests, uint32_t uid)
{
    uint32_t at = find(guests, uid);

    if (guests->count == GUESTS_MAX || guests_has(guests, uid))
        return false;
    memmove(&guests->uid[at + 1], &guests->uid[at], (guests->count - at) * sizeof(uint32_t));
    guests->uid[at] = uid;
    guests->count++;
    return true;
}

bool guests_drop(struct guests *guests, uint32_t uid)
{
    uint32_t at = find(guests, uid);

    if (!guests_has(guests, uid))
        return false;
    guests->count--;
    memmove(&guests->uid[at], &guests->uid[at + 1], (guests->count - at) * sizeof(uint32_t));
    return true;
}
