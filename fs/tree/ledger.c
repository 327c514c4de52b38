/* SPDX-License-Identifier: Apache-2.0 */
/* The table of usage; see ledger.h. What is found where is in ledger_table.h. */
#include "ledger.h"

#include "ledger_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LEDGER_FIRST 256u

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
    while (2 * (size_t)capacity * sizeof(struct ledger_record) <= (size_t)st.st_size)
        capacity *= 2;
    if (!r)
        r = ledger_grow(ledger, capacity);
    if (r) {
        ledger_free(ledger);
        return r;
    }
    ledger_index(ledger);
    for (uint32_t i = 0; i < capacity; i++) {
        uint64_t id = ledger->records[i].id;
        ledger_count_share(ledger, id);
        if (id && !ledger_is_share(id))
            set_changed(ledger, i, true);
    }
    *ret_ledger = ledger;
    return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return NULL;
    if (ledger->records)
        munmap(ledger->records, ledger->capacity * sizeof(struct ledger_record));
    free(ledger->entries);
    free(ledger->places);
    free(ledger);
    return NULL;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t used_bytes(const struct ledger_entry *entry)
{
    uint64_t sum = plus(entry->charged_bytes, entry->rest_bytes);
    return sum > entry->driver_bytes ? sum : entry->driver_bytes;
}

static void add_figures(const struct ledger_entry *entry, struct ledger_figures *sum)
{
    sum->charged_bytes = plus(sum->charged_bytes, entry->charged_bytes);
    sum->driver_bytes = plus(sum->driver_bytes, entry->driver_bytes);
    sum->rest_bytes = plus(sum->rest_bytes, entry->rest_bytes);
    sum->used_bytes = plus(sum->used_bytes, used_bytes(entry));
}

static void figures_at(const struct ledger *ledger, uint32_t place,
                       struct ledger_figures *ret_figures)
{
    const struct ledger_entry *entry = &ledger->entries[place];
    const struct ledger_record *record = &ledger->records[place];
    *ret_figures =
        (struct ledger_figures){.peak_bytes = record->peak_bytes, .busy_ns = record->busy_ns};
    if (!entry->shares)
        add_figures(entry, ret_figures);
    for (uint32_t i = 0; i < entry->shares; i++) {
        const struct ledger_entry *share = ledger_share(ledger, record->id, i);
        if (share)
            add_figures(share, ret_figures);
    }
}

/* Return the place of the partition of a share; of a partition, its own. */
static uint32_t whole_of(const struct ledger *ledger, uint32_t place)
{
    uint32_t whole = *ledger_find(ledger, share_key_id(ledger->records[place].id));
    return whole ? whole - 1 : place;
}

static void note_peak(struct ledger *ledger, uint32_t place)
{
    struct ledger_figures figures;
    figures_at(ledger, place, &figures);
    uint64_t used = figures.used_bytes < INT64_MAX ? figures.used_bytes : INT64_MAX;
    bool is_whole = whole_of(ledger, place) == place;
    if (used > ledger->records[place].peak_bytes) {
        ledger->records[place].peak_bytes = used;
        set_changed(ledger, place, is_whole);
    }
    if (!is_whole)
        note_peak(ledger, whole_of(ledger, place));
}

int ledger_restore(struct ledger *ledger, uint64_t id, uint64_t peak_bytes, uint64_t busy_ns)
{
    uint32_t place;
    if (!peak_bytes && !busy_ns)
        return 0;
    int r = ledger_need(ledger, id, &place);
    if (r)
        return r;
    struct ledger_record *record = &ledger->records[place];
    if (record->peak_bytes < peak_bytes)
        record->peak_bytes = peak_bytes;
    if (record->busy_ns < busy_ns)
        record->busy_ns = busy_ns;
    return 0;
}

void ledger_forget_ended(struct ledger *ledger)
{
    ledger_sweep(ledger);
    ledger_index(ledger);
}

int ledger_reserve(struct ledger *ledger, uint64_t id)
{
    uint32_t place;
    return ledger_need(ledger, id, &place);
}

void ledger_charge(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place = *ledger_find(ledger, id) - 1;
    ledger->entries[place].charged_bytes += bytes;
    note_peak(ledger, place);
}

void ledger_release(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place = *ledger_find(ledger, id);
    if (place)
        ledger->entries[place - 1].charged_bytes -= bytes;
}

int ledger_set_driver(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place;
    int r = ledger_need(ledger, id, &place);
    if (r)
        return r;
    ledger->entries[place].driver_bytes = bytes;
    note_peak(ledger, place);
    return 0;
}

void ledger_set_rest(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place = *ledger_find(ledger, id);
    if (!place)
        return;
    ledger->entries[place - 1].rest_bytes = bytes;
    note_peak(ledger, place - 1);
}

int ledger_add_busy(struct ledger *ledger, uint64_t id, uint64_t busy_ns)
{
    uint32_t place;
    int r = ledger_need(ledger, id, &place);
    if (r || !busy_ns)
        return r;
    uint64_t room = INT64_MAX - ledger->records[place].busy_ns;
    ledger->records[place].busy_ns += busy_ns < room ? busy_ns : room;
    if (ledger_is_share(id))
        return ledger_add_busy(ledger, share_key_id(id), busy_ns);
    set_changed(ledger, place, true);
    return 0;
}

void ledger_get(const struct ledger *ledger, uint64_t id, struct ledger_figures *ret_figures)
{
    uint32_t place = *ledger_find(ledger, id);
    *ret_figures = (struct ledger_figures){0};
    if (place)
        figures_at(ledger, place - 1, ret_figures);
}

bool ledger_next(const struct ledger *ledger, uint32_t *cursor, uint64_t *ret_id,
                 struct ledger_figures *ret_figures)
{
    while (*cursor < ledger->capacity &&
           (!ledger->records[*cursor].id || ledger->entries[*cursor].shares))
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
    for (; ledger->changed && *cursor < ledger->capacity; ++*cursor) {
        uint32_t place = *cursor;
        *ret_id = ledger->records[place].id;
        if (!*ret_id || !ledger->entries[place].changed)
            continue;
        set_changed(ledger, place, false);
        if (!ledger->alive(ledger->context, *ret_id))
            continue;
        figures_at(ledger, place, ret_figures);
        ++*cursor;
        return true;
    }
    return false;
}

void ledger_put_back(struct ledger *ledger, uint64_t id)
{
    uint32_t place = *ledger_find(ledger, id);
    if (place)
        set_changed(ledger, place - 1, true);
}
