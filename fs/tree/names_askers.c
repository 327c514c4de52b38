/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts that look up names; see names_askers.h. */
#include "names_askers.h"

uint32_t names_askers_take(struct names_askers *askers, uint32_t account)
{
    uint32_t place = 0;
    for (uint32_t i = 0; i < NAMES_ASKERS_MAX; i++) {
        if (askers->account[i] == (uint64_t)account + 1)
            return 0;
        if (!askers->account[i])
            place = i + 1;
    }
    if (place)
        askers->account[place - 1] = (uint64_t)account + 1;
    return place;
}

void names_askers_free(struct names_askers *askers, uint32_t place)
{
    if (place)
        askers->account[place - 1] = 0;
}
