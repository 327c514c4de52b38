/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that makes changes durable and then answers them; see committer.h. */
#include "committer.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/host/host.h"
#include "invalidate.h"
#include "snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The most events in a batch, so that no request waits long for the others. */
#define BATCH_MAX 4096u
/* Time until the next attempt after a failure if no client is waiting (expiries). */
#define RETRY_NS NS_PER_SECOND
/* Time from a commit until the store settles, for all commits since. */
#define SETTLE_NS (NS_PER_SECOND / 10)

struct queue {
    struct change *first, **last;
};

struct committer {
    struct committer_start start;
    bool devices_kept;
    struct store_reply *kept; /* answers of the last worker; used by the thread only */
    size_t kept_count;
    struct store_clock clock;
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    /* protected by lock */
    struct queue queue, failed;
    int64_t retention_ns;
    uint64_t first_line_seq;
    bool busy, has_failed, retrying;
    size_t moves;          /* changes that move what waits, and are not durable */
    int64_t settle_ns;     /* when the store settles; 0: it has */
    struct timespec retry; /* the time of that next attempt */
    struct message message;
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_add(struct queue *queue, struct change *changes)
{
    *queue->last = changes;
    while (*queue->last)
        queue->last = &(*queue->last)->next;
}

struct change *committer_change_free(struct change *change)
{
    if (change) {
        engine_events_free(change->events);
        free(change->usages);
        free(change);
    }
    return NULL;
}

void committer_reply(const struct reply *reply)
{
    if (reply->kind == REPLY_DONE)
        fuse_reply_err(reply->req, 0);
    else if (reply->kind == REPLY_WRITTEN)
        fuse_reply_write(reply->req, reply->written);
    else if (reply->kind == REPLY_ATTRIBUTES)
        fuse_reply_attr(reply->req, &reply->attributes, reply->timeout_s);
    else if (reply->kind == REPLY_TEXT) {
        fuse_reply_buf(reply->req, reply->text, reply->written);
        free(reply->reader);
    }
}

void committer_refuse(const struct reply *reply, int error)
{
    if (reply->kind != REPLY_NONE)
        fuse_reply_err(reply->req, error);
    if (reply->kind == REPLY_BACKUP)
        fd_close(reply->backup_fd);
    if (reply->kind == REPLY_TEXT)
        free(reply->reader);
}

/* Take one batch off the queue. */
static struct change *take_batch(struct committer *committer)
{
    struct change *first = committer->queue.first, *last = first;
    size_t events = first->event_count;
    while (last->next && events + last->next->event_count <= BATCH_MAX) {
        last = last->next;
        events += last->event_count;
    }
    committer->queue.first = last->next;
    if (!last->next)
        committer->queue.last = &committer->queue.first;
    last->next = NULL;
    return first;
}

static void fill_batch(const struct change *changes, struct store_item *items,
                       struct store_reply *replies, struct store_partition_usage *usages,
                       struct store_batch *batch)
{
    for (const struct change *c = changes; c; c = c->next) {
        for (size_t i = 0; i < c->event_count; i++)
            items[batch->item_count++] = c->items[i];
        for (size_t i = 0; i < c->usage_count; i++)
            usages[batch->usage_count++] = c->usages[i];
        if (c->events && c->reply.kind != REPLY_NONE)
            replies[batch->reply_count++] = (struct store_reply){c->unique, c->result};
    }
    batch->items = items;
    batch->replies = replies;
    batch->usages = usages;
}

/* Store once which devices the indices in events stand for. */
static int keep_devices(struct committer *committer, struct message *message)
{
    if (committer->devices_kept)
        return 0;
    uint32_t count = committer->start.device_count;
    struct store_device *devices = calloc(count + 1, sizeof(*devices));
    if (!devices)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        const struct gpu_device *device = &committer->start.devices[i];
        snprintf(devices[i].key, sizeof(devices[i].key), "%s", device->key);
        snprintf(devices[i].name, sizeof(devices[i].name), "%s", device->name);
        devices[i].bytes = device->memory_bytes;
    }
    int r = store_devices(committer->start.store, devices, count, message);
    free(devices);
    committer->devices_kept = !r;
    return r;
}

static int commit(struct committer *committer, const struct change *changes,
                  struct store_batch *batch, struct message *message)
{
    size_t item_count = 0, usage_count = 0, change_count = 0;
    bool records = false;
    for (const struct change *c = changes; c; c = c->next) {
        item_count += c->event_count;
        usage_count += c->usage_count;
        records |= c->records;
        change_count++;
    }
    if (!item_count && !records)
        return 0;
    struct store_item *items = calloc(item_count + 1, sizeof(*items));
    struct store_partition_usage *usages = calloc(usage_count + 1, sizeof(*usages));
    /* Earlier changes have been answered, and so has all that a dead worker left. */
    if (changes->after_left)
        committer->kept_count = 0;
    struct store_reply *replies = calloc(change_count + committer->kept_count, sizeof(*replies));
    int r = -ENOMEM;
    message_set(-ENOMEM, message,
                "There is not enough memory to store the change, so nothing was changed.");
    if (items && replies && usages) {
        committer->clock.now_ns = clock_boottime_ns();
        committer->clock.offset_ns = clock_realtime_ns() - committer->clock.now_ns;
        batch->clock = committer->clock;
        batch->mount_id = committer->start.mount_id;
        if (committer->kept_count)
            memcpy(replies, committer->kept, committer->kept_count * sizeof(*replies));
        batch->reply_count = committer->kept_count;
        fill_batch(changes, items, replies, usages, batch);
        r = keep_devices(committer, message);
        if (!r)
            r = store_commit(committer->start.store, batch, message);
    }
    free(items);
    free(replies);
    free(usages);
    return r;
}

/* Invalidate the kernel's caches before sending the answers. */
static void finish(struct committer *committer, struct change *changes)
{
    for (struct change *c = changes; c; c = c->next) {
        invalidate_events(committer->start.session, c->events);
        if (committer->start.host)
            host_events(committer->start.host, c->events, false);
    }
    for (struct change *next; changes; changes = next) {
        next = changes->next;
        if (changes->reply.kind == REPLY_BACKUP)
            snapshot_answer(committer->start.store, &changes->reply);
        else
            committer_reply(&changes->reply);
        committer_change_free(changes);
    }
}

static size_t count_moves(const struct change *changes)
{
    size_t count = 0;
    for (const struct change *c = changes; c; c = c->next)
        count += c->moves;
    return count;
}

/* Call with the lock held. */
static void settle(struct committer *committer)
{
    committer->settle_ns = 0;
    committer->busy = true;
    pthread_mutex_unlock(&committer->lock);
    store_settle(committer->start.store);
    pthread_mutex_lock(&committer->lock);
    committer->busy = false;
    pthread_cond_broadcast(&committer->idle);
}

/* Call with the lock held. Return whether there is work; waits if there is none. */
static bool wait_for_work(struct committer *committer)
{
    if (committer->settle_ns && committer->settle_ns <= clock_monotonic_ns())
        settle(committer);
    if (committer->settle_ns && !committer->has_failed && !committer->queue.first) {
        const struct timespec until = clock_timespec(committer->settle_ns);
        pthread_cond_timedwait(&committer->wake, &committer->lock, &until);
        return false;
    }
    if (committer->has_failed || !committer->queue.first) {
        pthread_cond_wait(&committer->wake, &committer->lock);
        return false;
    }
    if (!committer->retrying)
        return true;
    /* After a failure retry at once for a request, later for expiries. */
    for (const struct change *c = committer->queue.first; c; c = c->next)
        if (c->reply.kind != REPLY_NONE)
            return true;
    /* An absolute time: new changes must not postpone the retry. */
    return pthread_cond_timedwait(&committer->wake, &committer->lock, &committer->retry) ==
           ETIMEDOUT;
}

/* It ends with the worker, which drains it before. */
static void *committer_thread(void *argument)
{
    struct committer *committer = argument;
    struct message message;
    pthread_mutex_lock(&committer->lock);
    for (;;) {
        if (!wait_for_work(committer))
            continue;
        struct change *changes = take_batch(committer);
        struct store_batch batch = {.retention_ns = committer->retention_ns,
                                    .first_line_seq = committer->first_line_seq};
        committer->busy = true;
        pthread_mutex_unlock(&committer->lock);
        int r = commit(committer, changes, &batch, &message);
        size_t moves = r ? 0 : count_moves(changes);
        if (!r)
            finish(committer, changes);
        pthread_mutex_lock(&committer->lock);
        committer->busy = false;
        committer->moves -= moves;
        committer->retrying = r;
        if (!r && !committer->settle_ns)
            committer->settle_ns = clock_monotonic_ns() + SETTLE_NS;
        if (r) {
            queue_add(&committer->failed, changes);
            committer->has_failed = true;
            committer->retry = clock_timespec(clock_monotonic_ns() + RETRY_NS);
            committer->message = message;
            eventfd_write(committer->fd, 1);
        }
        if (r || !committer->queue.first)
            pthread_cond_broadcast(&committer->idle);
    }
    return NULL;
}

int committer_new(const struct committer_start *start, struct committer **ret_committer)
{
    struct committer *committer = calloc(1, sizeof(*committer));
    size_t reply_count = start->reply_count;
    if (!committer)
        return -ENOMEM;
    committer->start = *start;
    committer->retention_ns = INT64_MAX;
    queue_init(&committer->queue);
    queue_init(&committer->failed);
    pthread_mutex_init(&committer->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&committer->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_cond_init(&committer->idle, NULL);
    committer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = committer->fd < 0 ? -errno : store_clock_now(&committer->clock);
    if (!r && reply_count) {
        committer->kept = malloc(reply_count * sizeof(*committer->kept));
        r = committer->kept ? 0 : -ENOMEM;
    }
    if (committer->kept) {
        memcpy(committer->kept, start->replies, reply_count * sizeof(*committer->kept));
        committer->kept_count = reply_count;
    }
    pthread_t thread;
    if (!r)
        r = -pthread_create(&thread, NULL, committer_thread, committer);
    if (!r)
        *ret_committer = committer;
    return r;
}

void committer_submit(struct committer *committer, struct change *change, int64_t retention_ns,
                      uint64_t first_line_seq)
{
    change->next = NULL;
    pthread_mutex_lock(&committer->lock);
    queue_add(&committer->queue, change);
    committer->moves += change->moves;
    committer->retention_ns = retention_ns;
    committer->first_line_seq = first_line_seq;
    pthread_mutex_unlock(&committer->lock);
    pthread_cond_signal(&committer->wake); /* after unlocking: the thread would wake up only to
                                            * wait for the lock */
}

bool committer_is_busy(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    bool busy = committer->queue.first || committer->busy;
    pthread_mutex_unlock(&committer->lock);
    return busy;
}

bool committer_moves(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    bool moves = committer->moves > 0;
    pthread_mutex_unlock(&committer->lock);
    return moves;
}

int committer_fd(const struct committer *committer)
{
    return committer->fd;
}

struct change *committer_take_failed(struct committer *committer, struct message *ret_message)
{
    eventfd_t count;
    eventfd_read(committer->fd, &count);
    struct change *changes = NULL;
    pthread_mutex_lock(&committer->lock);
    if (committer->has_failed) {
        if (committer->queue.first)
            queue_add(&committer->failed, committer->queue.first);
        changes = committer->failed.first;
        queue_init(&committer->queue);
        queue_init(&committer->failed);
        committer->has_failed = false;
        committer->moves = 0;
        *ret_message = committer->message;
    }
    pthread_mutex_unlock(&committer->lock);
    return changes;
}

bool committer_drain(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    while ((committer->queue.first || committer->busy) && !committer->has_failed)
        pthread_cond_wait(&committer->idle, &committer->lock);
    bool clean = !committer->has_failed;
    if (clean)
        store_settle(committer->start.store);
    pthread_mutex_unlock(&committer->lock);
    return clean;
}
