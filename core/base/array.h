/* SPDX-License-Identifier: Apache-2.0 */
/* Growable arrays: a pointer, a count and a capacity in any struct. Pure. */
#ifndef CHRONOS_BASE_ARRAY_H
#define CHRONOS_BASE_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Make room for `need` items. `array` is a pointer to the items, `capacity` a size_t with the
 * number there is room for. Room at least doubles, so adding n items copies O(n). 0, or -ENOMEM
 * with both unchanged. */
#define array_reserve(array, capacity, need)                                                       \
    array_reserve_bytes(&(array), &(capacity), (need), sizeof(*(array)))

/* `array` points to a pointer of any type. */
static inline int array_reserve_bytes(void *array, size_t *capacity, size_t need, size_t item_bytes)
{
    if (need <= *capacity)
        return 0;
    size_t room = *capacity < 8 ? 8 : *capacity > SIZE_MAX / 2 ? SIZE_MAX : *capacity * 2;
    if (room < need)
        room = need;
    void *items;
    memcpy(&items, array, sizeof(items));
    items = room > PTRDIFF_MAX / item_bytes ? NULL : realloc(items, room * item_bytes);
    if (!items)
        return -ENOMEM;
    memcpy(array, &items, sizeof(items));
    *capacity = room;
    return 0;
}

#endif
