/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what partitions use; see ledger.h. An entry is at the same place in two
 * arrays: what is known for the moment, and the record that is kept in the file. Entries
 * are found through a hash table of places. Nothing is taken out one by one: when the
 * arrays are full, entries of partitions that ended are freed, and the arrays grow if
 * more than half is still taken.
 *
 * Records are written, not mapped: a store into a mapped file ends the program where
 * the disk cannot take it. What was written outlives us without a sync.
 */
#include "ledger.h"

#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USAGE_FIRST   256u
#define USAGE_MAGIC   "chronosU"
#define USAGE_VERSION 1u

/* What outlives a daemon. In the file a place can still have the record of a partition
 * that ended, as long as nothing is known of the next one there. */
struct record {
    uint64_t id; /* 0: free */
    uint64_t peak_bytes, busy_ns;
};

struct header {
    char magic[8];
    uint32_t version, record_size;
    char boot[48]; /* of the boot it is true for */
};

struct entry {
    uint64_t charged_bytes, driver_bytes;
    uint32_t next_free; /* place + 1, when free */
};

struct ledger {
    ledger_alive_fn *alive;
    void *context;
    int fd; /* -1: kept in memory only */
    struct record *records;
    struct entry *entries;
    uint32_t capacity, count, free; /* free: place + 1 */
    uint32_t *places;               /* hash table of place + 1; 2 * capacity slots */
};

/* -- the file ----------------------------------------------------------------- */

static off_t record_at(uint32_t place)
{
    return (off_t)(sizeof(struct header) + (size_t)place * sizeof(struct record));
}

static void fill_header(struct header *header)
{
    memset(header, 0, sizeof(*header));
    memcpy(header->magic, USAGE_MAGIC, sizeof(header->magic));
    header->version = USAGE_VERSION;
    header->record_size = sizeof(struct record);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, header->boot, sizeof(header->boot) - 1);
    if (fd >= 0)
        close(fd);
    if (length < 0)
        header->boot[0] = '\0';
}

static int open_file(const char *directory)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s/usage", directory);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* From now on without the file. */
static void give_up_file(struct ledger *ledger, int error)
{
    log_say("cannot keep what partitions used at most in the state directory (%s): after a crash "
            "memory_peak starts anew",
            strerror(error));
    if (ledger->fd >= 0)
        close(ledger->fd);
    ledger->fd = -1;
}

static void write_file(struct ledger *ledger, const void *data, size_t size, off_t at)
{
    ssize_t n = ledger->fd < 0 ? (ssize_t)size : pwrite(ledger->fd, data, size, at);
    if (n != (ssize_t)size)
        give_up_file(ledger, n < 0 ? errno : ENOSPC);
}

static void keep(struct ledger *ledger, uint32_t place)
{
    write_file(ledger, &ledger->records[place], sizeof(struct record), record_at(place));
}

/* Takes the room that `capacity` records need, while there is room. */
static void allocate_file(struct ledger *ledger, uint32_t capacity)
{
    int error = ledger->fd < 0 ? 0 : posix_fallocate(ledger->fd, 0, record_at(capacity));
    if (error)
        give_up_file(ledger, error);
}

/* -- finding ------------------------------------------------------------------- */

static uint32_t *find_place(const struct ledger *ledger, uint64_t id)
{
    uint32_t mask = 2 * ledger->capacity - 1;
    uint32_t slot = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (ledger->places[slot] && ledger->records[ledger->places[slot] - 1].id != id)
        slot = (slot + 1) & mask;
    return &ledger->places[slot];
}

/* Makes the hash table and the list of free places anew from the records. */
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
            ledger->entries[i] = (struct entry){.next_free = ledger->free};
            ledger->records[i].id = 0;
            ledger->free = i + 1;
        }
    }
}

static int grow(struct ledger *ledger, uint32_t capacity)
{
    uint32_t *places = calloc(2 * (size_t)capacity, sizeof(*places));
    struct entry *entries = realloc(ledger->entries, capacity * sizeof(*entries));
    if (entries)
        ledger->entries = entries;
    struct record *records = realloc(ledger->records, capacity * sizeof(*records));
    if (records)
        ledger->records = records;
    if (!places || !entries || !records) {
        free(places);
        return -ENOMEM;
    }
    memset(entries + ledger->capacity, 0, (capacity - ledger->capacity) * sizeof(*entries));
    memset(records + ledger->capacity, 0, (capacity - ledger->capacity) * sizeof(*records));
    free(ledger->places);
    ledger->places = places;
    ledger->capacity = capacity;
    allocate_file(ledger, capacity);
    return 0;
}

/* Frees what nobody will ask for: the partition ended and nothing is booked on it.
 * (One that ended can come back when its end could not be made durable.) */
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
    sweep(ledger);
    index_all(ledger);
    if (ledger->count <= ledger->capacity / 2)
        return 0;
    int r = grow(ledger, ledger->capacity * 2);
    if (!r)
        index_all(ledger);
    return r && ledger->free ? 0 : r;
}

/* The place of an entry, made when there is none. 0 or -ENOMEM. */
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
        ledger->records[at] = (struct record){.id = id};
        *place = at + 1;
        ledger->count++;
    }
    *ret_place = *place - 1;
    return 0;
}

/* -- for others ------------------------------------------------------------------ */

/* What the file says holds for this boot and this layout only. */
static void adopt(struct ledger *ledger)
{
    struct header header, kept;
    size_t size = ledger->capacity * sizeof(struct record);
    fill_header(&header);
    if (ledger->fd >= 0 && *header.boot &&
        pread(ledger->fd, &kept, sizeof(kept), 0) == (ssize_t)sizeof(kept) &&
        !memcmp(&kept, &header, sizeof(header))) {
        if (pread(ledger->fd, ledger->records, size, record_at(0)) != (ssize_t)size)
            memset(ledger->records, 0, size);
    } else {
        write_file(ledger, ledger->records, size, record_at(0));
        write_file(ledger, &header, sizeof(header), 0);
    }
    sweep(ledger);
    index_all(ledger);
}

int ledger_new(const char *directory, ledger_alive_fn *alive, void *context,
               struct ledger **ret_ledger)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    struct stat st;
    if (!ledger)
        return -ENOMEM;
    ledger->alive = alive;
    ledger->context = context;
    ledger->fd = directory ? open_file(directory) : -1;
    if (directory && ledger->fd < 0)
        give_up_file(ledger, errno);
    uint32_t capacity = USAGE_FIRST;
    if (ledger->fd >= 0 && fstat(ledger->fd, &st) == 0)
        while (record_at(capacity) < st.st_size && capacity < UINT32_MAX / 4)
            capacity *= 2;
    int r = grow(ledger, capacity);
    if (r) {
        ledger_free(ledger);
        return r;
    }
    adopt(ledger);
    *ret_ledger = ledger;
    return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return NULL;
    if (ledger->fd >= 0)
        close(ledger->fd);
    free(ledger->records);
    free(ledger->entries);
    free(ledger->places);
    free(ledger);
    return NULL;
}

static uint64_t used_bytes(const struct entry *entry)
{
    return entry->charged_bytes > entry->driver_bytes ? entry->charged_bytes : entry->driver_bytes;
}

static void note_peak(struct ledger *ledger, uint32_t place)
{
    uint64_t used = used_bytes(&ledger->entries[place]);
    if (used <= ledger->records[place].peak_bytes)
        return;
    ledger->records[place].peak_bytes = used;
    keep(ledger, place);
}

int ledger_reserve(struct ledger *ledger, uint64_t id)
{
    uint32_t place;
    return need(ledger, id, &place);
}

void ledger_book(struct ledger *ledger, uint64_t id, uint64_t bytes)
{
    uint32_t place = *find_place(ledger, id) - 1;
    ledger->entries[place].charged_bytes += bytes;
    note_peak(ledger, place);
}

void ledger_give_back(struct ledger *ledger, uint64_t id, uint64_t bytes)
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

int ledger_add_busy(struct ledger *ledger, uint64_t id, uint64_t busy_ns)
{
    uint32_t place;
    int r = need(ledger, id, &place);
    if (r || !busy_ns)
        return r;
    ledger->records[place].busy_ns += busy_ns;
    keep(ledger, place);
    return 0;
}

static void figures_at(const struct ledger *ledger, uint32_t place,
                       struct ledger_figures *ret_figures)
{
    const struct entry *entry = &ledger->entries[place];
    *ret_figures = (struct ledger_figures){.charged_bytes = entry->charged_bytes,
                                           .driver_bytes = entry->driver_bytes,
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
