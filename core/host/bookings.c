/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bookings and rests; see bookings.h. One tree has an entry for each process of a partition that
 * has `charge` open or has a rest, and one with pid 0 for the partition: the sum of their rests.
 */
#include "bookings.h"

#include "core/base/avl.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct entry {
    struct avl_node node;
    uint64_t id;
    int32_t pid; /* 0: the partition */
    bool reported;
    unsigned marks; /* BOOKINGS_IPC and so on */
    uint32_t count; /* open files; of a partition: its entries */
    uint64_t bytes; /* booked; of a partition: by all entries */
    uint64_t rest_bytes;
    uint64_t unclaimed_bytes; /* of these: found while no file was open */
    uint64_t changed;         /* number of the look in which `bytes` changed last */
    uint64_t high_bytes;      /* the most that was booked in it */
    struct entry *next, **at; /* among those with a rest: the next, and what leads here */
};

struct bookings {
    pthread_mutex_t lock;
    struct avl avl;
    uint64_t look;
    struct entry *rests;
};

static int compare(const struct avl_node *a, const struct avl_node *b)
{
    const struct entry *left = avl_entry_const(a, struct entry, node);
    const struct entry *right = avl_entry_const(b, struct entry, node);
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->pid < right->pid ? -1 : left->pid > right->pid;
}

static const struct avl_kind by_process = {.compare = compare};

int bookings_new(struct bookings **ret_bookings)
{
    struct bookings *bookings = calloc(1, sizeof(*bookings));
    if (!bookings)
        return -ENOMEM;
    pthread_mutex_init(&bookings->lock, NULL);
    bookings->avl.kind = &by_process;
    bookings->look = 1;
    *ret_bookings = bookings;
    return 0;
}

struct bookings *bookings_free(struct bookings *bookings)
{
    struct avl_node *node;
    while (bookings && (node = avl_first(&bookings->avl))) {
        avl_remove(&bookings->avl, node);
        free(avl_entry(node, struct entry, node));
    }
    if (bookings)
        pthread_mutex_destroy(&bookings->lock);
    free(bookings);
    return NULL;
}

/* -- entries; with the lock held -------------------------------------------------------- */

static struct entry *find(const struct bookings *bookings, uint64_t id, int32_t pid)
{
    const struct entry probe = {.id = id, .pid = pid};
    struct avl_node *node = avl_find(&bookings->avl, &probe.node);
    return node ? avl_entry(node, struct entry, node) : NULL;
}

static struct entry *add(struct bookings *bookings, uint64_t id, int32_t pid)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    entry->id = id;
    entry->pid = pid;
    avl_insert(&bookings->avl, &entry->node);
    return entry;
}

static void drop(struct bookings *bookings, struct entry *entry)
{
    avl_remove(&bookings->avl, &entry->node);
    free(entry);
}

/* Find the entry of a process, or add it and that of its partition. NULL when out of memory. */
static struct entry *need(struct bookings *bookings, uint64_t id, int32_t pid)
{
    struct entry *entry = find(bookings, id, pid), *partition = find(bookings, id, 0);
    if (entry)
        return entry;
    if (!partition)
        partition = add(bookings, id, 0);
    entry = partition ? add(bookings, id, pid) : NULL;
    if (entry)
        partition->count++;
    else if (partition && partition->count == 0)
        drop(bookings, partition);
    return entry;
}

/* Free the entry of a process that has neither an open file nor a rest. */
static void drop_unused(struct bookings *bookings, struct entry *entry)
{
    struct entry *partition = find(bookings, entry->id, 0);
    if (entry->count > 0 || entry->rest_bytes > 0)
        return;
    partition->bytes -= entry->bytes;
    if (--partition->count == 0)
        drop(bookings, partition);
    drop(bookings, entry);
}

static void set_rest(struct bookings *bookings, struct entry *entry, uint64_t bytes)
{
    struct entry *partition = find(bookings, entry->id, 0);
    partition->rest_bytes += bytes - entry->rest_bytes;
    if (entry->rest_bytes == 0 && bytes > 0) {
        entry->next = bookings->rests;
        entry->at = &bookings->rests;
        if (entry->next)
            entry->next->at = &entry->next;
        bookings->rests = entry;
    } else if (entry->rest_bytes > 0 && bytes == 0) {
        *entry->at = entry->next;
        if (entry->next)
            entry->next->at = entry->at;
    }
    entry->rest_bytes = bytes;
    if (entry->count == 0 || entry->unclaimed_bytes > bytes)
        entry->unclaimed_bytes = bytes;
}

static void book(const struct bookings *bookings, struct entry *entry, uint64_t add_bytes,
                 uint64_t subtract_bytes)
{
    if (entry->changed != bookings->look)
        entry->high_bytes = entry->bytes;
    entry->changed = bookings->look;
    entry->bytes += add_bytes - subtract_bytes;
    find(bookings, entry->id, 0)->bytes += add_bytes - subtract_bytes;
    if (entry->high_bytes < entry->bytes)
        entry->high_bytes = entry->bytes;
}

/* -- the loop ---------------------------------------------------------------------------- */

int bookings_open(struct bookings *bookings, uint64_t id, int32_t pid)
{
    pthread_mutex_lock(&bookings->lock);
    struct entry *entry = pid ? need(bookings, id, pid) : NULL;
    if (entry)
        entry->count++;
    pthread_mutex_unlock(&bookings->lock);
    return entry || !pid ? 0 : -ENOMEM;
}

void bookings_close(struct bookings *bookings, uint64_t id, int32_t pid)
{
    pthread_mutex_lock(&bookings->lock);
    struct entry *entry = pid ? find(bookings, id, pid) : NULL;
    if (entry && entry->count > 0 && --entry->count == 0) {
        entry->marks = 0;
        set_rest(bookings, entry, 0);
        drop_unused(bookings, entry);
    }
    pthread_mutex_unlock(&bookings->lock);
}

static void change(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t add_bytes,
                   uint64_t subtract_bytes)
{
    pthread_mutex_lock(&bookings->lock);
    struct entry *entry = pid ? find(bookings, id, pid) : NULL;
    if (entry)
        book(bookings, entry, add_bytes, subtract_bytes);
    pthread_mutex_unlock(&bookings->lock);
}

void bookings_add(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t bytes)
{
    change(bookings, id, pid, bytes, 0);
}

void bookings_subtract(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t bytes)
{
    change(bookings, id, pid, 0, bytes);
}

uint64_t bookings_claim(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t bytes)
{
    pthread_mutex_lock(&bookings->lock);
    struct entry *entry = pid ? find(bookings, id, pid) : NULL;
    const uint64_t unclaimed = entry ? entry->unclaimed_bytes : 0;
    const uint64_t claimed = bytes < unclaimed ? bytes : unclaimed;
    if (claimed) {
        entry->unclaimed_bytes -= claimed;
        set_rest(bookings, entry, entry->rest_bytes - claimed);
        book(bookings, entry, claimed, 0);
    }
    pthread_mutex_unlock(&bookings->lock);
    return claimed;
}

void bookings_unclaim(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t claimed_bytes)
{
    pthread_mutex_lock(&bookings->lock);
    struct entry *entry = claimed_bytes ? find(bookings, id, pid) : NULL;
    if (entry) {
        book(bookings, entry, 0, claimed_bytes);
        set_rest(bookings, entry, entry->rest_bytes + claimed_bytes);
        entry->unclaimed_bytes += claimed_bytes;
    }
    pthread_mutex_unlock(&bookings->lock);
}

void bookings_mark(struct bookings *bookings, uint64_t id, int32_t pid, unsigned marks)
{
    pthread_mutex_lock(&bookings->lock);
    struct entry *entry = pid ? find(bookings, id, pid) : NULL;
    if (entry && entry->count > 0)
        entry->marks |= marks;
    pthread_mutex_unlock(&bookings->lock);
}

uint64_t bookings_rest(struct bookings *bookings, uint64_t id)
{
    pthread_mutex_lock(&bookings->lock);
    const struct entry *partition = find(bookings, id, 0);
    uint64_t bytes = partition ? partition->rest_bytes : 0;
    pthread_mutex_unlock(&bookings->lock);
    return bytes;
}

/* -- the host thread ------------------------------------------------------------------------ */

void bookings_look(struct bookings *bookings)
{
    pthread_mutex_lock(&bookings->lock);
    bookings->look++;
    pthread_mutex_unlock(&bookings->lock);
}

/* A program books before the driver takes, and gives back after the driver did, so what it has
 * booked at the most bounds its rest from below. */
static uint64_t rest_of(const struct bookings *bookings, const struct entry *entry, uint64_t bytes)
{
    bool changed = entry->changed == bookings->look;
    uint64_t booked = changed ? entry->high_bytes : entry->bytes;
    uint64_t rest = bytes > booked ? bytes - booked : 0;
    return changed && rest < entry->rest_bytes ? entry->rest_bytes : rest;
}

/* A driver says what it likes: the sum must not wrap. */
#define REST_MAX (UINT64_MAX >> 16)

static void take_use(struct bookings *bookings, const struct bookings_use *use)
{
    struct entry *entry = need(bookings, use->id, use->pid);
    if (!entry)
        return; /* out of memory: the next look finds it */
    uint64_t rest = rest_of(bookings, entry, use->bytes);
    set_rest(bookings, entry, rest < REST_MAX ? rest : REST_MAX);
    entry->reported = true;
    drop_unused(bookings, entry);
}

void bookings_compare(struct bookings *bookings, const struct bookings_use *uses, size_t count)
{
    pthread_mutex_lock(&bookings->lock);
    for (struct entry *entry = bookings->rests; entry; entry = entry->next)
        entry->reported = false;
    for (size_t i = 0; i < count; i++)
        take_use(bookings, &uses[i]);
    for (struct entry *entry = bookings->rests, *next; entry; entry = next) {
        next = entry->next;
        if (entry->reported)
            continue;
        set_rest(bookings, entry, 0);
        drop_unused(bookings, entry);
    }
    pthread_mutex_unlock(&bookings->lock);
}

unsigned bookings_marks(struct bookings *bookings, uint64_t id, int32_t pid)
{
    pthread_mutex_lock(&bookings->lock);
    const struct entry *entry = find(bookings, id, pid);
    unsigned marks = entry ? entry->marks : 0;
    for (struct avl_node *node = entry && pid == 0 ? avl_after(&bookings->avl, &entry->node) : NULL;
         node; node = avl_after(&bookings->avl, node)) {
        entry = avl_entry_const(node, struct entry, node);
        if (entry->id != id)
            break;
        marks |= entry->marks;
    }
    pthread_mutex_unlock(&bookings->lock);
    return marks;
}

bool bookings_has(struct bookings *bookings, uint64_t id, int32_t pid)
{
    pthread_mutex_lock(&bookings->lock);
    const struct entry *entry = find(bookings, id, pid);
    bool has = entry && entry->count > 0;
    pthread_mutex_unlock(&bookings->lock);
    return has;
}

bool bookings_is_over(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t allowed_bytes,
                      uint64_t limit_bytes)
{
    pthread_mutex_lock(&bookings->lock);
    const struct entry *entry = find(bookings, id, pid), *partition = find(bookings, id, 0);
    bool over =
        entry && entry->rest_bytes > allowed_bytes &&
        (partition->bytes > limit_bytes || partition->rest_bytes > limit_bytes - partition->bytes);
    pthread_mutex_unlock(&bookings->lock);
    return over;
}
