/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's two queues, errands in and news out, and what other threads may call;
 * see keeper.h. Everything here happens under the lock and none of it waits.
 */
#include "keeper-private.h"

#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* So many errands that nobody is waiting for may pile up. */
#define LAZY_MAX 256
/* So many errands, and nobody is asked to look any more: whoever reads is shown what was
 * seen last. While the keeper is held up, readers ask again and again. */
#define LOOK_MAX 4096

/* -- news ----------------------------------------------------------------------- */

struct news *news_free(struct news *news)
{
    if (news) {
        free(news->text);
        free(news->state);
        free(news);
    }
    return NULL;
}

struct news *keeper_new_news(enum news_kind kind)
{
    struct news *news = calloc(1, sizeof(*news));
    if (news)
        news->kind = kind;
    else
        log_say("not enough memory to tell what became of a partition's programs");
    return news;
}

void keeper_tell(struct keeper *keeper, struct news *news)
{
    if (!news)
        return;
    pthread_mutex_lock(&keeper->lock);
    *keeper->last_news = news;
    keeper->last_news = &news->next;
    pthread_mutex_unlock(&keeper->lock);
    eventfd_write(keeper->news_fd, 1);
}

struct news *keeper_take(struct keeper *keeper)
{
    eventfd_t count;
    eventfd_read(keeper->news_fd, &count);
    pthread_mutex_lock(&keeper->lock);
    struct news *news = keeper->first_news;
    keeper->first_news = NULL;
    keeper->last_news = &keeper->first_news;
    pthread_mutex_unlock(&keeper->lock);
    return news;
}

int keeper_fd(const struct keeper *keeper)
{
    return keeper->news_fd;
}

/* -- errands ---------------------------------------------------------------------- */

/* `lazy`: the keeper need not know before it has reason to look. */
static void add_errands(struct keeper *keeper, struct errand *first, struct errand **last,
                        size_t count, bool lazy)
{
    if (!first)
        return;
    pthread_mutex_lock(&keeper->lock);
    *keeper->last_errand = first;
    keeper->last_errand = last;
    keeper->errand_count += count;
    bool wake = !lazy || keeper->attentive || keeper->errand_count > LAZY_MAX;
    pthread_mutex_unlock(&keeper->lock);
    if (wake)
        eventfd_write(keeper->errand_fd, 1);
}

int keeper_join(struct keeper *keeper, const struct keeper_join *join)
{
    struct errand *errand = calloc(1, sizeof(*errand));
    if (!errand)
        return -ENOMEM;
    errand->kind = ERRAND_JOIN;
    errand->join = *join;
    errand->answer = keeper_new_news(NEWS_JOINED);
    if (!errand->answer) {
        free(errand);
        return -ENOMEM;
    }
    add_errands(keeper, errand, &errand->next, 1, false);
    return 0;
}

int keeper_look(struct keeper *keeper, uint64_t id, int64_t now_ns)
{
    pthread_mutex_lock(&keeper->lock);
    bool many = keeper->errand_count >= LOOK_MAX;
    pthread_mutex_unlock(&keeper->lock);
    if (many)
        return -EAGAIN;
    struct errand *errand = calloc(1, sizeof(*errand));
    if (!errand)
        return -ENOMEM;
    errand->kind = ERRAND_LOOK;
    errand->id = id;
    errand->at_ns = now_ns;
    add_errands(keeper, errand, &errand->next, 1, false);
    return 0;
}

int keeper_policy(struct keeper *keeper, const struct keeper_policy *policy)
{
    struct errand *errand = calloc(1, sizeof(*errand));
    if (!errand)
        return -ENOMEM;
    errand->kind = ERRAND_POLICY;
    errand->policy = *policy;
    add_errands(keeper, errand, &errand->next, 1, false);
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

void keeper_events(struct keeper *keeper, const struct engine_event *events, bool certain)
{
    struct errand *first = NULL, **last = &first;
    size_t count = 0;
    for (; events; events = events->next) {
        if (!is_told(events->kind, certain))
            continue;
        struct errand *errand = calloc(1, sizeof(*errand));
        if (!errand) {
            log_say("not enough memory: programs of p%" PRIu64 " are left as they are",
                    events->after.id);
            continue;
        }
        errand->kind = ERRAND_EVENT;
        errand->event = events->kind;
        errand->partition = events->after;
        *last = errand;
        last = &errand->next;
        count++;
    }
    add_errands(keeper, first, last, count, true);
}

struct errand *keeper_take_errands(struct keeper *keeper)
{
    eventfd_t count;
    eventfd_read(keeper->errand_fd, &count);
    pthread_mutex_lock(&keeper->lock);
    struct errand *errand = keeper->first_errand;
    keeper->first_errand = NULL;
    keeper->last_errand = &keeper->first_errand;
    keeper->errand_count = 0;
    pthread_mutex_unlock(&keeper->lock);
    return errand;
}

bool keeper_rest(struct keeper *keeper, bool attentive)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->attentive = attentive;
    bool more = attentive && keeper->first_errand;
    pthread_mutex_unlock(&keeper->lock);
    return !more;
}
