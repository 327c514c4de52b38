/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the keeper, shared by its files only; see keeper.h. */
#ifndef CHRONOS_FS_KEEPER_PRIVATE_H
#define CHRONOS_FS_KEEPER_PRIVATE_H

#include "gating.h"
#include "holdings.h"
#include "keeper.h"
#include "ladder.h"
#include "sampling.h"
#include "watching.h"

#include "../core/enforcer/enforcer.h"

#include <pthread.h>

enum errand_kind { ERRAND_JOIN, ERRAND_LOOK, ERRAND_EVENT, ERRAND_POLICY };

struct errand {
    struct errand *next;
    enum errand_kind kind;
    struct keeper_join join;
    struct news *answer; /* to the join: who waits for it always gets one */
    uint64_t id;
    int64_t at_ns;
    enum event_kind event;
    struct partition partition;
    struct keeper_policy policy;
};

#define KEEPER_LOOKED 256u

/* When a partition's members were last looked at. */
struct looked {
    uint64_t id;
    int64_t at_ns;
};

/* Everything below `lock` may be touched by any thread under it, all else by the
 * keeper's own only. */
struct keeper {
    struct keeper_start start;
    struct enforcer *enforcer;
    struct ladder *ladder;
    struct sampling *sampling;
    struct gating *gating;
    struct watching *watching;
    int64_t usage_wanted_ns;   /* somebody reads and wants a sample asked for then or later */
    struct keeper_state state; /* as last told */
    struct holdings holdings;  /* who holds what: all live partitions */
    struct holdings occupied;  /* those that programs have joined */
    size_t empty_at;           /* in `occupied`: where to look for empty ones next */
    struct holdings frozen;    /* found so at the start */
    struct holdings stale;     /* traces found at the start that nobody needs */
    bool scans;                /* members are known by looking now and then */
    int64_t scanned_ns;
    int64_t seen_ns; /* when the last scan for somebody who reads was begun */
    struct looked looked[KEEPER_LOOKED];
    struct keeper_policy policy;
    int64_t now_ns;
    pthread_t thread;
    int errand_fd, news_fd;
    pthread_mutex_t lock;
    struct errand *first_errand, **last_errand;
    size_t errand_count;
    bool attentive; /* it wants to know at once what happens to partitions */
    struct news *first_news, **last_news;
};

/* News to be filled and told, or NULL (said on the log). */
struct news *keeper_new_news(enum news_kind kind);
/* Hands news to the loop; NULL is dropped. */
void keeper_tell(struct keeper *keeper, struct news *news);
/* All errands, oldest first; the caller frees them. NULL: none. */
struct errand *keeper_take_errands(struct keeper *keeper);
/* Before waiting: whether there is nothing that cannot wait. */
bool keeper_rest(struct keeper *keeper, bool attentive);
/* Has the log tell of something that happened to a partition's programs; `context` is
 * the keeper. */
void keeper_note(void *context, const struct partition *partition, const char *word,
                 const char *details);
/* warning.c: sends the signal that comes with a warning, and tells. */
void keeper_warn(struct keeper *keeper, const struct partition *partition);
/* joining.c: does what was asked, and tells the outcome with `answer`. */
void keeper_do_join(struct keeper *keeper, const struct keeper_join *join, struct news *answer);

#endif
