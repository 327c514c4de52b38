/* SPDX-License-Identifier: Apache-2.0 */
/* The arrays and the hash table of the ledger; see ledger_table.h. */
#include "ledger_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void ledger_index(struct ledger *ledger)
{
    memset(ledger->places, 0, 2 * (size_t)ledger->capacity * sizeof(*ledger->places));
    ledger->count = ledger->free = 0;
    for (uint32_t i = ledger->capacity; i-- > 0;) {
        uint32_t *place = ledger->records[i].id ? ledger_find(ledger, ledger->records[i].id) : NULL;
        if (place && !*place) {
            *place = i + 1;
            ledger->count++;
        } else {
            ledger->changed -= ledger->entries[i].changed;
            ledger->entries[i] = (struct ledger_entry){.next_free = ledger->free};
            ledger->records[i].id = 0;
            ledger->free = i + 1;
        }
    }
}

/* Map `capacity` records; new ones are free. */
static int map_records(struct ledger *ledger, uint32_t capacity)
{
    size_t old = ledger->capacity * sizeof(struct ledger_record),
           size = capacity * sizeof(struct ledger_record);
    if (ledger->fd >= 0 && ftruncate(ledger->fd, (off_t)size))
        return -errno;
    int flags = ledger->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *map = ledger->records ? mremap(ledger->records, old, size, MREMAP_MAYMOVE)
                                : mmap(NULL, size, PROT_READ | PROT_WRITE, flags, ledger->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    ledger->records = map;
    return 0;
}

int ledger_grow(struct ledger *ledger, uint32_t capacity)
{
    uint32_t *places = calloc(2 * (size_t)capacity, sizeof(*places));
    struct ledger_entry *entries = realloc(ledger->entries, capacity * sizeof(*entries));
    if (entries)
        ledger->entries = entries;
    int r = !places || !entries ? -ENOMEM : map_records(ledger, capacity);
    if (r) {
        free(places);
        return r;
    }
    memset(entries + ledger->capacity, 0, (capacity - ledger->capacity) * sizeof(*entries));
    free(ledger->places);
    ledger->places = places;
    ledger->capacity = capacity;
    return 0;
}

struct ledger_entry *ledger_share(const struct ledger *ledger, uint64_t id, uint32_t index)
{
    uint32_t place = *ledger_find(ledger, share_key(id, SHARE_MAX, index));
    return place ? &ledger->entries[place - 1] : NULL;
}

static uint64_t charged_bytes(const struct ledger *ledger, uint32_t place)
{
    uint64_t bytes = ledger->entries[place].charged_bytes;
    for (uint32_t i = 0; i < ledger->entries[place].shares; i++) {
        const struct ledger_entry *share = ledger_share(ledger, ledger->records[place].id, i);
        bytes += share ? share->charged_bytes : 0;
    }
    return bytes;
}

void ledger_sweep(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->capacity; i++) {
        struct ledger_record *record = &ledger->records[i];
        if (record->id && !ledger_is_share(record->id) &&
            !ledger->alive(ledger->context, record->id) && !charged_bytes(ledger, i))
            record->id = 0;
    }
    /* Shares go with their partition. */
    for (uint32_t i = 0; i < ledger->capacity; i++) {
        uint64_t id = ledger->records[i].id;
        if (ledger_is_share(id) && !*ledger_find(ledger, share_key_id(id)))
            ledger->records[i].id = 0;
    }
}

static int make_room(struct ledger *ledger)
{
    ledger_sweep(ledger);
    ledger_index(ledger);
    if (ledger->count <= ledger->capacity / 2)
        return 0;
    int r = ledger_grow(ledger, ledger->capacity * 2);
    if (!r)
        ledger_index(ledger);
    return r && ledger->free ? 0 : r;
}

static int need_one(struct ledger *ledger, uint64_t id, uint32_t *ret_place)
{
    uint32_t *place = ledger_find(ledger, id);
    if (!*place) {
        int r = ledger->free ? 0 : make_room(ledger);
        if (r)
            return r;
        place = ledger_find(ledger, id);
        uint32_t at = ledger->free - 1;
        ledger->free = ledger->entries[at].next_free;
        ledger->entries[at] = (struct ledger_entry){0};
        ledger->records[at] = (struct ledger_record){0};
        /* Last: if the worker dies here, the new entry must not have figures of an old one. */
        atomic_thread_fence(memory_order_release);
        ledger->records[at].id = id;
        *place = at + 1;
        ledger->count++;
    }
    *ret_place = *place - 1;
    return 0;
}

void ledger_count_share(struct ledger *ledger, uint64_t id)
{
    uint32_t whole = ledger_is_share(id) ? *ledger_find(ledger, share_key_id(id)) : 0;
    uint32_t shares = share_key_index(id) + 1;
    if (whole && ledger->entries[whole - 1].shares < shares)
        ledger->entries[whole - 1].shares = (uint8_t)shares;
}

int ledger_need(struct ledger *ledger, uint64_t id, uint32_t *ret_place)
{
    uint32_t whole;
    int r = ledger_is_share(id) ? need_one(ledger, share_key_id(id), &whole) : 0;
    if (!r)
        r = need_one(ledger, id, ret_place);
    if (!r)
        ledger_count_share(ledger, id);
    return r;
}
