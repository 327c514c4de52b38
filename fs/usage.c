/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what partitions use; see usage.h. An entry is at the same place in two
 * arrays: what is known for the moment, and the record that is kept in the file. Entries
 * are found through a hash table of places. Nothing is taken out one by one: when the
 * arrays are full, entries of partitions that ended are freed, and the arrays grow if
 * more than half is still taken.
 *
 * Records are written, not mapped: a store into a mapped file ends the program where
 * the disk cannot take it. What was written outlives us without a sync.
 */
#include "usage.h"

#include "log.h"

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

struct usage {
    usage_alive_fn *alive;
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
static void give_up_file(struct usage *usage, int error)
{
    log_say("cannot keep what partitions used at most in the state directory (%s): after a crash "
            "memory_peak starts anew",
            strerror(error));
    if (usage->fd >= 0)
        close(usage->fd);
    usage->fd = -1;
}

static void write_file(struct usage *usage, const void *data, size_t size, off_t at)
{
    ssize_t n = usage->fd < 0 ? (ssize_t)size : pwrite(usage->fd, data, size, at);
    if (n != (ssize_t)size)
        give_up_file(usage, n < 0 ? errno : ENOSPC);
}

static void keep(struct usage *usage, uint32_t place)
{
    write_file(usage, &usage->records[place], sizeof(struct record), record_at(place));
}

/* Takes the room that `capacity` records need, while there is room. */
static void allocate_file(struct usage *usage, uint32_t capacity)
{
    int error = usage->fd < 0 ? 0 : posix_fallocate(usage->fd, 0, record_at(capacity));
    if (error)
        give_up_file(usage, error);
}

/* -- finding ------------------------------------------------------------------- */

static uint32_t *find_place(const struct usage *usage, uint64_t id)
{
    uint32_t mask = 2 * usage->capacity - 1;
    uint32_t slot = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (usage->places[slot] && usage->records[usage->places[slot] - 1].id != id)
        slot = (slot + 1) & mask;
    return &usage->places[slot];
}

/* Makes the hash table and the list of free places anew from the records. */
static void index_all(struct usage *usage)
{
    memset(usage->places, 0, 2 * (size_t)usage->capacity * sizeof(*usage->places));
    usage->count = usage->free = 0;
    for (uint32_t i = usage->capacity; i-- > 0;) {
        uint32_t *place = usage->records[i].id ? find_place(usage, usage->records[i].id) : NULL;
        if (place && !*place) {
            *place = i + 1;
            usage->count++;
        } else {
            usage->entries[i] = (struct entry){.next_free = usage->free};
            usage->records[i].id = 0;
            usage->free = i + 1;
        }
    }
}

static int grow(struct usage *usage, uint32_t capacity)
{
    uint32_t *places = calloc(2 * (size_t)capacity, sizeof(*places));
    struct entry *entries = realloc(usage->entries, capacity * sizeof(*entries));
    if (entries)
        usage->entries = entries;
    struct record *records = realloc(usage->records, capacity * sizeof(*records));
    if (records)
        usage->records = records;
    if (!places || !entries || !records) {
        free(places);
        return -ENOMEM;
    }
    memset(entries + usage->capacity, 0, (capacity - usage->capacity) * sizeof(*entries));
    memset(records + usage->capacity, 0, (capacity - usage->capacity) * sizeof(*records));
    free(usage->places);
    usage->places = places;
    usage->capacity = capacity;
    allocate_file(usage, capacity);
    return 0;
}

/* Frees what nobody will ask for: the partition ended and nothing is booked on it.
 * (One that ended can come back when its end could not be made durable.) */
static void sweep(struct usage *usage)
{
    for (uint32_t i = 0; i < usage->capacity; i++) {
        struct record *record = &usage->records[i];
        if (record->id && !usage->entries[i].charged_bytes &&
            !usage->alive(usage->context, record->id))
            record->id = 0;
    }
}

static int make_room(struct usage *usage)
{
    sweep(usage);
    index_all(usage);
    if (usage->count <= usage->capacity / 2)
        return 0;
    int r = grow(usage, usage->capacity * 2);
    if (!r)
        index_all(usage);
    return r && usage->free ? 0 : r;
}

/* The place of an entry, made when there is none. 0 or -ENOMEM. */
static int need(struct usage *usage, uint64_t id, uint32_t *ret_place)
{
    uint32_t *place = find_place(usage, id);
    if (!*place) {
        int r = usage->free ? 0 : make_room(usage);
        if (r)
            return r;
        place = find_place(usage, id);
        uint32_t at = usage->free - 1;
        usage->free = usage->entries[at].next_free;
        usage->entries[at] = (struct entry){0};
        usage->records[at] = (struct record){.id = id};
        *place = at + 1;
        usage->count++;
    }
    *ret_place = *place - 1;
    return 0;
}

/* -- for others ------------------------------------------------------------------ */

/* What the file says holds for this boot and this layout only. */
static void adopt(struct usage *usage)
{
    struct header header, kept;
    size_t size = usage->capacity * sizeof(struct record);
    fill_header(&header);
    if (usage->fd >= 0 && *header.boot &&
        pread(usage->fd, &kept, sizeof(kept), 0) == (ssize_t)sizeof(kept) &&
        !memcmp(&kept, &header, sizeof(header))) {
        if (pread(usage->fd, usage->records, size, record_at(0)) != (ssize_t)size)
            memset(usage->records, 0, size);
    } else {
        write_file(usage, usage->records, size, record_at(0));
        write_file(usage, &header, sizeof(header), 0);
    }
    sweep(usage);
    index_all(usage);
}

int usage_new(const char *directory, usage_alive_fn *alive, void *context, struct usage **ret_usage)
{
    struct usage *usage = calloc(1, sizeof(*usage));
    struct stat st;
    if (!usage)
        return -ENOMEM;
    usage->alive = alive;
    usage->context = context;
    usage->fd = directory ? open_file(directory) : -1;
    if (directory && usage->fd < 0)
        give_up_file(usage, errno);
    uint32_t capacity = USAGE_FIRST;
    if (usage->fd >= 0 && fstat(usage->fd, &st) == 0)
        while (record_at(capacity) < st.st_size && capacity < UINT32_MAX / 4)
            capacity *= 2;
    int r = grow(usage, capacity);
    if (r) {
        usage_free(usage);
        return r;
    }
    adopt(usage);
    *ret_usage = usage;
    return 0;
}

struct usage *usage_free(struct usage *usage)
{
    if (!usage)
        return NULL;
    if (usage->fd >= 0)
        close(usage->fd);
    free(usage->records);
    free(usage->entries);
    free(usage->places);
    free(usage);
    return NULL;
}

static uint64_t used_bytes(const struct entry *entry)
{
    return entry->charged_bytes > entry->driver_bytes ? entry->charged_bytes : entry->driver_bytes;
}

static void note_peak(struct usage *usage, uint32_t place)
{
    uint64_t used = used_bytes(&usage->entries[place]);
    if (used <= usage->records[place].peak_bytes)
        return;
    usage->records[place].peak_bytes = used;
    keep(usage, place);
}

int usage_reserve(struct usage *usage, uint64_t id)
{
    uint32_t place;
    return need(usage, id, &place);
}

void usage_book(struct usage *usage, uint64_t id, uint64_t bytes)
{
    uint32_t place = *find_place(usage, id) - 1;
    usage->entries[place].charged_bytes += bytes;
    note_peak(usage, place);
}

void usage_give_back(struct usage *usage, uint64_t id, uint64_t bytes)
{
    uint32_t place = *find_place(usage, id);
    if (place)
        usage->entries[place - 1].charged_bytes -= bytes;
}

int usage_set_driver(struct usage *usage, uint64_t id, uint64_t bytes)
{
    uint32_t place;
    int r = need(usage, id, &place);
    if (r)
        return r;
    usage->entries[place].driver_bytes = bytes;
    note_peak(usage, place);
    return 0;
}

int usage_add_busy(struct usage *usage, uint64_t id, uint64_t busy_ns)
{
    uint32_t place;
    int r = need(usage, id, &place);
    if (r || !busy_ns)
        return r;
    usage->records[place].busy_ns += busy_ns;
    keep(usage, place);
    return 0;
}

static void figures_at(const struct usage *usage, uint32_t place, struct usage_figures *ret_figures)
{
    const struct entry *entry = &usage->entries[place];
    *ret_figures = (struct usage_figures){.charged_bytes = entry->charged_bytes,
                                          .driver_bytes = entry->driver_bytes,
                                          .used_bytes = used_bytes(entry),
                                          .peak_bytes = usage->records[place].peak_bytes,
                                          .busy_ns = usage->records[place].busy_ns};
}

void usage_get(const struct usage *usage, uint64_t id, struct usage_figures *ret_figures)
{
    uint32_t place = *find_place(usage, id);
    *ret_figures = (struct usage_figures){0};
    if (place)
        figures_at(usage, place - 1, ret_figures);
}

bool usage_next(const struct usage *usage, uint32_t *cursor, uint64_t *ret_id,
                struct usage_figures *ret_figures)
{
    while (*cursor < usage->capacity && !usage->records[*cursor].id)
        ++*cursor;
    if (*cursor == usage->capacity)
        return false;
    *ret_id = usage->records[*cursor].id;
    figures_at(usage, (*cursor)++, ret_figures);
    return true;
}
