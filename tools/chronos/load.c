/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read many partitions; see load.h. Several threads ask: most of the time that one answer takes
 * goes into waking the other side, which is awake while there is a next request.
 */
#include "load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS    4
#define CHUNK_MOST 256

/* What is loaded before it is passed on. */
struct chunk {
    const struct chronos_mount *mount;
    const uint64_t *ids;
    size_t count;
    uint32_t mask;
    atomic_size_t next; /* the next one to load */
    struct loaded {
        int r;
        struct chronos_partition partition;
    } at[CHUNK_MOST];
};

static void load_one(struct chunk *chunk, size_t i)
{
    struct loaded *loaded = &chunk->at[i];
    char id[CHRONOS_ID_MAX];
    snprintf(id, sizeof(id), "p%llu", (unsigned long long)chunk->ids[i]);
    snprintf(loaded->partition.id, sizeof(loaded->partition.id), "%s", id);
    loaded->r =
        chunk->mask ? chronos_partition_load(chunk->mount, id, chunk->mask, &loaded->partition) : 0;
}

static void *load(void *argument)
{
    struct chunk *chunk = argument;
    size_t i;
    while ((i = atomic_fetch_add(&chunk->next, 1)) < chunk->count)
        load_one(chunk, i);
    return NULL;
}

/* What limits keep several threads from is done by one. */
static void load_chunk(struct chunk *chunk)
{
    pthread_t threads[THREADS - 1];
    size_t count = 0;
    while (chunk->mask && count < THREADS - 1 && count + 1 < chunk->count &&
           !pthread_create(&threads[count], NULL, load, chunk))
        count++;
    load(chunk);
    while (count > 0)
        pthread_join(threads[--count], NULL);
    for (size_t i = 0; i < chunk->count; i++)
        if (chunk->at[i].r == -EMFILE)
            load_one(chunk, i);
}

int load_each(const struct chronos_mount *mount, const uint64_t *ids, size_t count, uint32_t mask,
              load_fn *fn, void *context)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    bool more = true;
    if (!chunk)
        return -ENOMEM;
    chunk->mount = mount;
    chunk->mask = mask;
    for (size_t at = 0; more && at < count; at += chunk->count) {
        chunk->ids = ids + at;
        chunk->count = count - at < CHUNK_MOST ? count - at : CHUNK_MOST;
        chunk->next = 0;
        load_chunk(chunk);
        for (size_t i = 0; more && i < chunk->count; i++)
            more = fn(context, chunk->at[i].r, &chunk->at[i].partition);
    }
    free(chunk);
    return 0;
}
