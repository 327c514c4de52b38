/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of usage; see ledger.h. An entry has the same place in two arrays: the state of this
 * worker, and the record that outlives it. A hash table maps ids to places. Entries are not removed
 * one by one: when the arrays are full, entries of ended partitions are freed, and if more than
 * half is still in use the arrays grow.
 */
#include "ledger.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEDGER_FIRST 256u

/* Outlives a worker. */
struct record {
    uint64_t id; /* 0: free */
    uint64_t peak_bytes, busy_ns;
};

struct entry {
    uint64_t charged_bytes, driver_bytes, rest_bytes;
    uint32_t next_free; /* if free: the next free place + 1 */
    bool changed;
};

struct ledger {
    ledger_alive_fn *alive;
    void *context;
    int fd;                 /* of the records; -1: private memory */
    struct record *records; /* mapped */
    struct entry *entries;
    uint32_t capacity, count, free; /* free: place + 1 */
    uint32_t *places;               /* hash table of place + 1, with 2 * capacity slots */
    size_t changed;
};

/* -- finding ------------------------------------------------------------------- */

static uint32_t *find_place(const struct ledger *ledger, uint64_t id)
{
    uint32_t mask = 2 * ledger->capacity - 1;
    uint32_t slot = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (ledger->places[slot] && ledger->records[ledger->places[slot] - 1].id != id)
        slot = (slot + 1) & mask;
    return &ledger->places[slot];
}

/* Rebuild the hash table and the list of free places from the records. */
static void index_all(struct ledger *ledger)
{
    memset(ledger->places, 0, 2 * (size_t)ledger->capacity * sizeof(*ledger->places));
    ledger->count = ledger->free = 0;
    for (uint32_t i = ledger->capacity; i-- > 0;) {
        uint32_t *place = ledger->records[i].id ? find_place(ledger, ledger->records[i].id) : NULL;
        if (place && !*place) {
            *place = i + 1;
            ledger->count++;
        } else {
            ledger->changed -= ledger->entries[i].changed;
            ledger->entries[i] = (struct entry){.next_free = ledger->free};
            ledger->records[i].id = 0;
            ledger->free = i + 1;
        }
    }
}

/* Map `capacity` records; new ones are free. */
static int map_records(struct ledger *ledger, uint32_t capacity)
{
    size_t old = ledger->capacity * sizeof(struct record), size = capacity * sizeof(struct record);
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

static int grow(struct ledger *ledger, uint32_t capacity)
{
    uint32_t *places = calloc(2 * (size_t)capacity, sizeof(*places));
    struct entry *entries = realloc(ledger->entries, capacity * sizeof(*entries));
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

/* Free entries of ended partitions, unless something is charged: a partition comes back if its end
 * could not be made durable. */
static void sweep(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->capacity; i++) {
        struct record *record = &ledger->records[i];
        if (record->id && !ledger->entries[i].charged_bytes &&
            !ledger->alive(ledger->context, record->id))
            record->id = 0;
    }
}

static int make_room(struct ledger *ledger)
{
    ledger_forget_ended(ledger);
    if (ledger->count <= ledger->capacity / 2)
        return 0;
    int r = grow(ledger, ledger->capacity * 2);
    if (!r)
        index_all(ledger);
    return r && ledger->free ? 0 : r;
}

/* Find or add an entry. 0 or -ENOMEM. */
static int need(struct ledger *ledger, uint64_t id, uint32_t *ret_place)
{
    uint32_t *place = find_place(ledger, id);
    if (!*place) {
        int r = ledger->free ? 0 : make_room(ledger);
        if (r)
            return r;
        place = find_place(ledger, id);
        uint32_t at = ledger->free - 1;
        ledger->free = ledger->entries[at].next_free;
        ledger->entries[at] = (struct entry){0};
        ledger->records[at] = (struct record){0};
        /* Last: if the worker dies here, the new entry must not have figures of an old one. */
        atomic_thread_fence(memory_order_release);
        ledger->records[at].id = id;
        *place = at + 1;
        ledger->count++;
    }
    *ret_place = *place - 1;
    return 0;
}

/* -- the interface ------------------------------------------------------------ */

static void set_changed(struct ledger *ledger, uint32_t place, bool changed)
{
    ledger->changed += (size_t)changed - (size_t)ledger->entries[place].changed;
    ledger->entries[place].changed = changed;
}

int ledger_new(int fd, ledger_alive_fn *alive, void *context, struct ledger **ret_ledger)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    struct stat st = {.st_size = 0};
    if (!ledger)
        return -ENOMEM;
    *ledger = (struct ledger){.alive = alive, .context = context, .fd = fd};
    int r = fd >= 0 && fstat(fd, &st) ? -errno : 0;
    uint32_t capacity = LEDGER_FIRST;
    while (2 * (size_t)capacity * sizeof(struct record) <= (size_t)st.st_size)
        capacity *= 2;
    if (!r)
        r = grow(ledger, capacity);
    if (r) {
        ledger_free(ledger);
        return r;
    }
    index_all(ledger);
    for (uint32_t i = 0; i < capacity; i++)
        if (ledger->records[i].id)
            set_changed(ledger, i, true);
    *ret_ledger = ledger;
    return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return NULL;
    if (ledger->records)
        munmap(ledger->records, ledger->capacity * sizeof(struct record));
    free(ledger->entries);
    free(ledger->places);
    free(ledger);
    return NULL;
}

static uint64_t used_bytes(const struct entry *entry)
{
    uint64_t sum;
    if (__builtin_add_overflow(entry->charged_bytes, entry->rest_bytes, &sum))
        sum = UINT64_MAX;
    return sum > entry->driver_bytes ? sum : entry->driver_bytes;
}

static void note_peak(struct ledger *ledger, uint32_t place)
{
    uint64_t used = used_bytes(&ledger->entries[place]);
    used = used < INT64_MAX ? used : INT64_MAX;
    if (used <= ledger->records[place].peak_bytes)
        return;
    ledger->records[place].peak_bytes = used;
    set_changed(ledger, place, true);
}

int ledger_restore(struct ledger *ledger, uint64_t id, uint64_t peak_bytes, uint64_t busy_ns)
{
    uint32_t place;
    if (!peak_bytes && !busy_ns)
        return 0;
    int r = need(ledger, id, &place);
    if (r)
        return r;
    struct record *record = &ledger->records[place];
    if (record->peak_bytes < peak_bytes)
        record->peak_bytes = peak_bytes;
    if (record->busy_ns < busy_ns)
        record->busy_ns = busy_ns;
    return 0;
}

void ledger_forget_ended(struct ledger *ledger)
{
    sweep(ledger);
    index_all(ledger);
}

int ledger_reserve(struct ledger *ledger, uint64_t id)
{
    uint32_t place;
    return need(ledger, id, &place);
}

void ledger_charge(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place = *find_place(ledger, id) - 1;
    ledger->entries[place].charged_bytes += bytes;
    note_peak(ledger, place);
}

void ledger_release(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place = *find_place(ledger, id);
    if (place)
        ledger->entries[place - 1].charged_bytes -= bytes;
}

int ledger_set_driver(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place;
    int r = need(ledger, id, &place);
    if (r)
        return r;
    ledger->entries[place].driver_bytes = bytes;
    note_peak(ledger, place);
    return 0;
}

void ledger_set_rest(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place = *find_place(ledger, id);
    if (!place)
        return;
    ledger->entries[place - 1].rest_bytes = bytes;
    note_peak(ledger, place - 1);
}

int ledger_add_busy(struct ledger *ledger, uint64_t id, uint64_t busy_ns)
{
    uint32_t place;
    int r = need(ledger, id, &place);
    if (r || !busy_ns)
        return r;
    uint64_t room = INT64_MAX - ledger->records[place].busy_ns;
    ledger->records[place].busy_ns += busy_ns < room ? busy_ns : room;
    set_changed(ledger, place, true);
    return 0;
}

static void figures_at(const struct ledger *ledger, uint32_t place,
                       struct ledger_figures *ret_figures)
{
    const struct entry *entry = &ledger->entries[place];
    *ret_figures = (struct ledger_figures){.charged_bytes = entry->charged_bytes,
                                           .driver_bytes = entry->driver_bytes,
                                           .rest_bytes = entry->rest_bytes,
                                           .used_bytes = used_bytes(entry),
                                           .peak_bytes = ledger->records[place].peak_bytes,
                                           .busy_ns = ledger->records[place].busy_ns};
}

void ledger_get(const struct ledger *ledger, uint64_t id, struct ledger_figures *ret_figures)
{
    uint32_t place = *find_place(ledger, id);
    *ret_figures = (struct ledger_figures){0};
    if (place)
        figures_at(ledger, place - 1, ret_figures);
}

bool ledger_next(const struct ledger *ledger, uint32_t *cursor, uint64_t *ret_id,
                 struct ledger_figures *ret_figures)
{
    while (*cursor < ledger->capacity && !ledger->records[*cursor].id)
        ++*cursor;
    if (*cursor == ledger->capacity)
        return false;
    *ret_id = ledger->records[*cursor].id;
    figures_at(ledger, (*cursor)++, ret_figures);
    return true;
}

size_t ledger_changed(const struct ledger *ledger)
{
    return ledger->changed;
}

bool ledger_take_changed(struct ledger *ledger, uint32_t *cursor, uint64_t *ret_id,
                         struct ledger_figures *ret_figures)
{
    while (ledger->changed && ledger_next(ledger, cursor, ret_id, ret_figures)) {
        bool changed = ledger->entries[*cursor - 1].changed;
        set_changed(ledger, *cursor - 1, false);
        if (changed && ledger->alive(ledger->context, *ret_id))
            return true;
    }
    return false;
}

void ledger_put_back(struct ledger *ledger, uint64_t id)
{
    uint32_t place = *find_place(ledger, id);
    if (place)
        set_changed(ledger, place - 1, true);
}
