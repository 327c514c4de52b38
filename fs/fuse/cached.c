/* SPDX-License-Identifier: Apache-2.0 */
/* Which attributes the kernel may have; see cached.h. */
#include "cached.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define FIRST_SIZE 64u
/* The nodes of a partition share the bits of a set: its directory, its link, and its files. */
#define FILE_BITS 62u

/* A partition's entry; no partition has the id 0. */
struct entry {
    uint64_t id, set;
};

/* A table with open addressing, at most half full. */
struct half {
    struct entry *entries; /* NULL while it is empty */
    size_t size, count;    /* size: 0 or a power of two */
    bool all;              /* there was no memory: everything counts as noted */
};

struct cached {
    pthread_mutex_t lock;
    struct half now, before;
    int64_t began_ns; /* when `now` began; `before` ended then */
};

int cached_new(bool unknown, int64_t now_ns, struct cached **ret_cached)
{
    struct cached *cached = calloc(1, sizeof(*cached));
    if (!cached)
        return -ENOMEM;
    pthread_mutex_init(&cached->lock, NULL);
    cached->before.all = unknown;
    cached->began_ns = now_ns;
    *ret_cached = cached;
    return 0;
}

static void clear(struct half *half)
{
    free(half->entries);
    *half = (struct half){0};
}

struct cached *cached_free(struct cached *cached)
{
    if (cached) {
        clear(&cached->now);
        clear(&cached->before);
        pthread_mutex_destroy(&cached->lock);
        free(cached);
    }
    return NULL;
}

/* Drop what is old enough. */
static void turn(struct cached *cached, int64_t now_ns)
{
    if (now_ns - cached->began_ns < CACHED_NS)
        return;
    clear(&cached->before);
    if (now_ns - cached->began_ns < 2 * CACHED_NS) {
        cached->before = cached->now;
        cached->now = (struct half){0};
    } else {
        clear(&cached->now);
    }
    cached->began_ns = now_ns;
}

/* Return the partition's entry, or the free one where it belongs. Ids are given in sequence, so
 * neighbours seldom collide. */
static struct entry *find(const struct half *half, uint64_t id)
{
    size_t at = (size_t)id & (half->size - 1);
    while (half->entries[at].id && half->entries[at].id != id)
        at = (at + 1) & (half->size - 1);
    return &half->entries[at];
}

/* Make room for one more. False: there is no memory. */
static bool grow(struct half *half)
{
    if (half->entries && half->count < half->size / 2)
        return true;
    struct half larger = {.size = half->size ? 2 * half->size : FIRST_SIZE, .count = half->count};
    larger.entries = calloc(larger.size, sizeof(*larger.entries));
    if (!larger.entries)
        return false;
    for (size_t i = 0; i < half->size; i++)
        if (half->entries[i].id)
            *find(&larger, half->entries[i].id) = half->entries[i];
    free(half->entries);
    *half = larger;
    return true;
}

static uint64_t bit_of(const struct node *node)
{
    if (node->link)
        return 2;
    return node->file ? UINT64_C(4) << node->file % FILE_BITS : 1;
}

void cached_note(struct cached *cached, const struct node *node, int64_t now_ns)
{
    pthread_mutex_lock(&cached->lock);
    turn(cached, now_ns);
    struct half *half = &cached->now;
    if (!grow(half)) {
        clear(half);
        half->all = true;
    }
    if (!half->all) {
        struct entry *entry = find(half, node->object);
        half->count += !entry->id;
        entry->id = node->object;
        entry->set |= bit_of(node);
    }
    pthread_mutex_unlock(&cached->lock);
}

static uint64_t set_of(const struct half *half, uint64_t id)
{
    if (half->all)
        return UINT64_MAX;
    return half->entries ? find(half, id)->set : 0;
}

uint64_t cached_find(struct cached *cached, uint64_t id, int64_t now_ns)
{
    pthread_mutex_lock(&cached->lock);
    turn(cached, now_ns);
    uint64_t set = set_of(&cached->now, id) | set_of(&cached->before, id);
    pthread_mutex_unlock(&cached->lock);
    return set;
}

bool cached_has(uint64_t set, const struct node *node)
{
    return set & bit_of(node);
}
