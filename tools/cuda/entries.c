/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table in shards, each with a lock of its own; see entries.h. */
#include "entries.h"

#include <stdlib.h>

#define BUCKETS_MIN 16

struct shard {
    struct entry **bucket;
    size_t buckets, count;
};
static struct shard shards[SHIM_SHARDS];

static uint64_t hash_of(enum entry_kind kind, uint64_t key)
{
    /* Fibonacci hashing: Knuth, The Art of Computer Programming, volume 3, 6.4. */
    return (key + (uint64_t)kind) * 0x9E3779B97F4A7C15u;
}

static unsigned shard_of(enum entry_kind kind, uint64_t key)
{
    return (unsigned)(hash_of(kind, key) >> 58);
}

static struct entry **bucket_of(const struct shard *shard, enum entry_kind kind, uint64_t key)
{
    return &shard->bucket[(hash_of(kind, key) >> 20) & (shard->buckets - 1)];
}

static void grow(struct shard *shard)
{
    size_t buckets = shard->buckets == 0 ? BUCKETS_MIN : 2 * shard->buckets;
    struct shard larger = {.bucket = calloc(buckets, sizeof(*larger.bucket)),
                           .buckets = buckets,
                           .count = shard->count};
    if (!larger.bucket)
        return;
    for (size_t i = 0; i < shard->buckets; i++) {
        for (struct entry *at = shard->bucket[i], *next; at; at = next) {
            next = at->next;
            struct entry **to = bucket_of(&larger, at->kind, at->key);
            at->next = *to;
            *to = at;
        }
    }
    free(shard->bucket);
    *shard = larger;
}

/* Call with the lock held. */
static struct entry **find(const struct shard *shard, enum entry_kind kind, uint64_t key)
{
    static struct entry *none;
    if (shard->buckets == 0)
        return &none;
    struct entry **at = bucket_of(shard, kind, key);
    while (*at && ((*at)->key != key || (*at)->kind != kind))
        at = &(*at)->next;
    return at;
}

static struct entry *unlink_entry(struct shard *shard, struct entry **at)
{
    struct entry *entry = *at;
    if (entry) {
        *at = entry->next;
        entry->next = NULL;
        shard->count--;
    }
    return entry;
}

struct entry *entries_new(enum entry_kind kind, CUdevice device)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry) {
        entry->kind = kind;
        entry->device = device;
    }
    return entry;
}

struct entry *entries_add(struct entry *entry, uint64_t key)
{
    unsigned number = shard_of(entry->kind, key);
    struct shard *shard = &shards[number];
    shim_lock(SHIM_LOCK_ENTRIES + number);
    struct entry *old = unlink_entry(shard, find(shard, entry->kind, key));
    if (shard->count >= shard->buckets)
        grow(shard);
    if (shard->buckets > 0) {
        struct entry **to = bucket_of(shard, entry->kind, key);
        entry->key = key;
        entry->next = *to;
        *to = entry;
        shard->count++;
    }
    /* Without memory for the first buckets it stays charged until the program ends. */
    if (old && old->mappings > 0) {
        old->handles = 0;
        old = NULL;
    }
    shim_unlock(SHIM_LOCK_ENTRIES + number);
    return old;
}

struct entry *entries_take(enum entry_kind kind, uint64_t key)
{
    unsigned number = shard_of(kind, key);
    shim_lock(SHIM_LOCK_ENTRIES + number);
    struct entry *entry = unlink_entry(&shards[number], find(&shards[number], kind, key));
    shim_unlock(SHIM_LOCK_ENTRIES + number);
    return entry;
}

struct entry *entries_hold(enum entry_kind kind, uint64_t key)
{
    unsigned number = shard_of(kind, key);
    shim_lock(SHIM_LOCK_ENTRIES + number);
    struct entry *entry = *find(&shards[number], kind, key);
    if (!entry)
        shim_unlock(SHIM_LOCK_ENTRIES + number);
    return entry;
}

void entries_release(enum entry_kind kind, uint64_t key)
{
    shim_unlock(SHIM_LOCK_ENTRIES + shard_of(kind, key));
}

/* Call with the lock held. Return whether it has none any more, and is out of the table. */
static bool count(struct shard *shard, struct entry *memory, int handles, int mappings)
{
    memory->handles += (uint32_t)handles;
    memory->mappings += (uint32_t)mappings;
    bool gone = memory->handles == 0 && memory->mappings == 0;
    struct entry **at = find(shard, memory->kind, memory->key);
    if (gone && *at == memory)
        unlink_entry(shard, at);
    return gone;
}

bool entries_count(struct entry *memory, int handles, int mappings)
{
    unsigned number = shard_of(memory->kind, memory->key);
    shim_lock(SHIM_LOCK_ENTRIES + number);
    bool gone = count(&shards[number], memory, handles, mappings);
    shim_unlock(SHIM_LOCK_ENTRIES + number);
    return gone;
}

bool entries_drop_handle(uint64_t key, struct entry **ret_last)
{
    unsigned number = shard_of(ENTRY_HANDLE, key);
    shim_lock(SHIM_LOCK_ENTRIES + number);
    struct entry *memory = *find(&shards[number], ENTRY_HANDLE, key);
    bool has = memory && memory->handles > 0;
    *ret_last = has && count(&shards[number], memory, -1, 0) ? memory : NULL;
    shim_unlock(SHIM_LOCK_ENTRIES + number);
    return has;
}

typedef bool matches(const struct entry *entry, const void *what);

static struct entry *take_all(matches *match, const void *what)
{
    struct entry *list = NULL;
    for (unsigned number = 0; number < SHIM_SHARDS; number++) {
        struct shard *shard = &shards[number];
        shim_lock(SHIM_LOCK_ENTRIES + number);
        for (size_t i = 0; i < shard->buckets; i++) {
            for (struct entry **at = &shard->bucket[i]; *at;) {
                if (!match(*at, what)) {
                    at = &(*at)->next;
                    continue;
                }
                struct entry *entry = unlink_entry(shard, at);
                entry->next = list;
                list = entry;
            }
        }
        shim_unlock(SHIM_LOCK_ENTRIES + number);
    }
    return list;
}

static bool in_context(const struct entry *entry, const void *what)
{
    return entry->context == what;
}

struct entry *entries_take_context(CUcontext context)
{
    return context ? take_all(in_context, context) : NULL;
}

struct range {
    enum entry_kind kind;
    uint64_t start, end;
};

static bool in_range(const struct entry *entry, const void *what)
{
    const struct range *range = what;
    return entry->kind == range->kind && entry->key >= range->start && entry->key < range->end;
}

struct entry *entries_take_range(enum entry_kind kind, uint64_t start, uint64_t end)
{
    return take_all(in_range, &(struct range){kind, start, end});
}

static bool is_tile(const struct entry *entry, const void *what)
{
    return entry->kind == ENTRY_TILE && entry->array == *(const uint64_t *)what;
}

struct entry *entries_take_tiles(uint64_t array)
{
    return take_all(is_tile, &array);
}
