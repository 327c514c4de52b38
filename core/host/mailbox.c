/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host thread's two queues, work items in and news out, and what other threads may call;
 * see host.h. Everything here happens under the lock and none of it waits.
 */
#include "internal.h"

#include "core/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* So many work items that nobody is waiting for may pile up. */
#define LAZY_MAX 256
/* So many work items, and nobody is asked to look any more: whoever reads is shown what was
 * seen last. While the host thread is held up, readers ask again and again. */
#define LOOK_MAX 4096

/* -- news ----------------------------------------------------------------------- */

struct host_result *host_result_free(struct host_result *result)
{
    if (result) {
        free(result->text);
        free(result->state);
        free(result);
    }
    return NULL;
}

struct host_result *host_result_new(enum host_result_kind kind)
{
    struct host_result *result = calloc(1, sizeof(*result));
    if (result)
        result->kind = kind;
    else
        log_say("not enough memory to tell what became of a partition's programs");
    return result;
}

void host_report(struct host *host, struct host_result *result)
{
    if (!result)
        return;
    pthread_mutex_lock(&host->lock);
    *host->last_result = result;
    host->last_result = &result->next;
    pthread_mutex_unlock(&host->lock);
    eventfd_write(host->result_fd, 1);
}

struct host_result *host_take_results(struct host *host)
{
    eventfd_t count;
    eventfd_read(host->result_fd, &count);
    pthread_mutex_lock(&host->lock);
    struct host_result *result = host->first_result;
    host->first_result = NULL;
    host->last_result = &host->first_result;
    pthread_mutex_unlock(&host->lock);
    return result;
}

int host_fd(const struct host *host)
{
    return host->result_fd;
}

/* -- work items ---------------------------------------------------------------------- */

/* `lazy`: the host thread need not know before it has reason to look. */
static void add_items(struct host *host, struct work_item *first, struct work_item **last,
                      size_t count, bool lazy)
{
    if (!first)
        return;
    pthread_mutex_lock(&host->lock);
    *host->last_item = first;
    host->last_item = last;
    host->item_count += count;
    bool wake = !lazy || host->attentive || host->item_count > LAZY_MAX;
    pthread_mutex_unlock(&host->lock);
    if (wake)
        eventfd_write(host->work_fd, 1);
}

int host_join(struct host *host, const struct host_join *join)
{
    struct work_item *item = calloc(1, sizeof(*item));
    if (!item)
        return -ENOMEM;
    item->kind = WORK_JOIN;
    item->join = *join;
    item->answer = host_result_new(RESULT_JOINED);
    if (!item->answer) {
        free(item);
        return -ENOMEM;
    }
    add_items(host, item, &item->next, 1, false);
    return 0;
}

int host_look(struct host *host, uint64_t id, int64_t now_ns)
{
    pthread_mutex_lock(&host->lock);
    bool many = host->item_count >= LOOK_MAX;
    pthread_mutex_unlock(&host->lock);
    if (many)
        return -EAGAIN;
    struct work_item *item = calloc(1, sizeof(*item));
    if (!item)
        return -ENOMEM;
    item->kind = WORK_LOOK;
    item->id = id;
    item->at_ns = now_ns;
    add_items(host, item, &item->next, 1, false);
    return 0;
}

int host_policy(struct host *host, const struct host_policy *policy)
{
    struct work_item *item = calloc(1, sizeof(*item));
    if (!item)
        return -ENOMEM;
    item->kind = WORK_POLICY;
    item->policy = *policy;
    add_items(host, item, &item->next, 1, false);
    return 0;
}

/* Whether these events are to be told in this pass. A closed file is told of in both:
 * what was changed before it may be durable, and told, after it. */
static bool is_told(enum event_kind kind, bool certain)
{
    if (kind == EVENT_SETTING || kind == EVENT_NOTE)
        return false;
    return kind == EVENT_CLOSED || (kind == EVENT_EXPIRED) == certain;
}

void host_events(struct host *host, const struct engine_event *events, bool certain)
{
    struct work_item *first = NULL, **last = &first;
    size_t count = 0;
    for (; events; events = events->next) {
        if (!is_told(events->kind, certain))
            continue;
        struct work_item *item = calloc(1, sizeof(*item));
        if (!item) {
            log_say("not enough memory: programs of p%" PRIu64 " are left as they are",
                    events->after.id);
            continue;
        }
        item->kind = WORK_EVENT;
        item->event = events->kind;
        item->partition = events->after;
        *last = item;
        last = &item->next;
        count++;
    }
    add_items(host, first, last, count, true);
}

struct work_item *host_take_items(struct host *host)
{
    eventfd_t count;
    eventfd_read(host->work_fd, &count);
    pthread_mutex_lock(&host->lock);
    struct work_item *item = host->first_item;
    host->first_item = NULL;
    host->last_item = &host->first_item;
    host->item_count = 0;
    pthread_mutex_unlock(&host->lock);
    return item;
}

bool host_rest(struct host *host, bool attentive)
{
    pthread_mutex_lock(&host->lock);
    host->attentive = attentive;
    bool more = attentive && host->first_item;
    pthread_mutex_unlock(&host->lock);
    return !more;
}
