/* SPDX-License-Identifier: Apache-2.0 */
/* End the processes of ended partitions; see terminate.h. */
#include "terminate.h"

#include "core/base/array.h"
#include "core/base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Look for members at short intervals first, then at longer ones: a program that ends at once frees
 * its memory at once. */
#define COUNT_FIRST_NS (2 * NS_PER_MS)
#define COUNT_SOON_NS  (20 * NS_PER_MS) /* in the first second */
#define COUNT_LAST_NS  (200 * NS_PER_MS)
/* Interval for processes that are left alone or survive SIGKILL. */
#define COUNT_IDLE_NS (10 * NS_PER_SECOND)
/* Report a process as stuck in the kernel this long after SIGKILL. */
#define STUCK_NS (5 * NS_PER_SECOND)

/* How long processes have to stop before SIGTERM or SIGKILL reaches those that run on too: one that
 * hangs in the kernel stops when its user likes. */
#define STOP_NS (200 * NS_PER_MS)

#define PART_NS (5 * NS_PER_SECOND) /* how long others may need to be spared by a kill */

/* Limit the duration of one terminate_step. */
#define STEP_MAX_NS (5 * NS_PER_MS)

enum step { STEP_BEGIN, STEP_STOP, STEP_LEFT, STEP_TERM, STEP_KILL, STEP_STUCK };

struct ending {
    struct avl_node by_id;
    struct partition partition;
    uint32_t account;
    enum step step;
    int64_t begun_ns; /* when the first step was taken */
    int64_t limit_ns; /* when the next step is due */
    int64_t kill_ns;  /* when the first SIGKILL was asked for */
    int64_t part_ns;  /* since when it waits for may_kill; 0: it has not */
    int64_t count_ns; /* when to look for members next */
    int64_t pause_ns; /* between two looks */
};

/* An ending that is due, in the turn of its account. */
struct terminate_turn {
    size_t index; /* in `endings` */
    uint32_t account, turn;
    bool kills, waited; /* waited: the call before had no time for it */
    int64_t count_ns;
};

static int compare_id(const struct avl_node *one, const struct avl_node *other)
{
    uint64_t a = avl_entry_const(one, struct ending, by_id)->partition.id;
    uint64_t b = avl_entry_const(other, struct ending, by_id)->partition.id;
    return a < b ? -1 : a > b;
}

static const struct avl_kind kind_id = {.compare = compare_id};

static const struct ending *find(const struct termination *termination, uint64_t id)
{
    const struct ending probe = {.partition.id = id};
    const struct avl_node *node = avl_find(&termination->by_id, &probe.by_id);
    return node ? avl_entry_const(node, struct ending, by_id) : NULL;
}

bool terminate_ends(const struct termination *termination, uint64_t id)
{
    const struct ending *ending = find(termination, id);
    return ending && ending->partition.on_expiry != ON_EXPIRY_NONE;
}

int terminate_add(struct termination *termination, int64_t now_ns,
                  const struct partition *partition, uint32_t account)
{
    if (find(termination, partition->id))
        return 0;
    if (array_reserve(termination->endings, termination->capacity, termination->count + 1) ||
        array_reserve(termination->turns, termination->turn_capacity, termination->count + 1))
        return -ENOMEM;
    struct ending *ending = malloc(sizeof(*ending));
    if (!ending)
        return -ENOMEM;
    *ending = (struct ending){.partition = *partition, .account = account, .count_ns = now_ns};
    termination->endings[termination->count++] = ending;
    termination->by_id.kind = &kind_id;
    avl_insert(&termination->by_id, &ending->by_id);
    return 0;
}

bool terminate_drop(struct termination *termination, uint64_t id)
{
    const struct ending *found = find(termination, id);
    size_t at = 0;
    if (!found)
        return false;
    while (termination->endings[at] != found)
        at++;
    struct ending *ending = termination->endings[at];
    if (ending->step != STEP_BEGIN && ending->step != STEP_LEFT) /* some may be stopped */
        proctrack_signal(termination->proctrack, id, SIGCONT, true, NULL);
    avl_remove(&termination->by_id, &ending->by_id);
    free(ending);
    termination->endings[at] = termination->endings[--termination->count];
    return true;
}

void terminate_clear(struct termination *termination)
{
    while (termination->count)
        free(termination->endings[--termination->count]);
    free(termination->endings);
    free(termination->turns);
    termination->by_id.root = NULL;
    termination->endings = NULL;
    termination->turns = NULL;
    termination->capacity = termination->turn_capacity = 0;
}

static void note(struct termination *termination, const struct ending *ending, const char *word,
                 const char *format, uint64_t number)
{
    char details[64];
    snprintf(details, sizeof(details), format, number);
    termination->note(termination->context, &ending->partition, word, details);
}

/* Enter a step; limit_ns: when the next one is due. */
static void enter(struct ending *ending, enum step step, int64_t now_ns, int64_t limit_ns)
{
    ending->step = step;
    ending->limit_ns = limit_ns;
    ending->pause_ns = step == STEP_LEFT || step == STEP_STUCK ? COUNT_IDLE_NS : COUNT_FIRST_NS;
    ending->count_ns = now_ns + ending->pause_ns;
}

static uint64_t count_members(const struct termination *termination, const struct ending *ending)
{
    int count = proctrack_members(termination->proctrack, ending->partition.id, NULL, NULL);
    return count > 0 ? (uint64_t)count : 0;
}

static void kill_again(struct termination *termination, const struct ending *ending, int64_t now_ns)
{
    proctrack_kill(termination->proctrack, ending->partition.id,
                   now_ns - ending->kill_ns >= STOP_NS);
}

/* Wait until a kill harms no others, but not for long. */
static bool must_wait(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    if (!termination->may_kill ||
        termination->may_kill(termination->context, &ending->partition, now_ns))
        return false;
    if (!ending->part_ns)
        ending->part_ns = now_ns;
    if (now_ns - ending->part_ns >= PART_NS)
        return false;
    ending->count_ns = now_ns + COUNT_SOON_NS;
    return true;
}

static void kill_members(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    if (must_wait(termination, ending, now_ns))
        return;
    uint64_t members = count_members(termination, ending);
    ending->kill_ns = now_ns;
    kill_again(termination, ending, now_ns);
    note(termination, ending, "killed", "processes=%" PRIu64, members);
    enter(ending, STEP_KILL, now_ns, now_ns + STUCK_NS);
}

/* Double the pause up to its limit, but count again no later than the next step. */
static void count_later(struct ending *ending, int64_t now_ns)
{
    bool soon = ending->step != STEP_BEGIN && now_ns - ending->begun_ns < NS_PER_SECOND;
    int64_t most_ns = soon ? COUNT_SOON_NS : COUNT_LAST_NS;
    if (ending->pause_ns < COUNT_FIRST_NS)
        ending->pause_ns = COUNT_FIRST_NS;
    else if (ending->pause_ns < COUNT_LAST_NS)
        ending->pause_ns = ending->pause_ns * 2 < most_ns ? ending->pause_ns * 2 : most_ns;
    ending->count_ns = now_ns + ending->pause_ns;
    if (ending->step != STEP_BEGIN && ending->count_ns > ending->limit_ns &&
        ending->limit_ns > now_ns)
        ending->count_ns = ending->limit_ns;
}

/* Send SIGTERM once all members have stopped, or STOP_NS after the first attempt. */
static void term(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    const struct partition *p = &ending->partition;
    bool now = ending->step == STEP_STOP && now_ns >= ending->limit_ns;
    uint64_t members = count_members(termination, ending);
    if (proctrack_signal(termination->proctrack, p->id, SIGTERM, now, NULL) == -EAGAIN) {
        if (ending->step == STEP_BEGIN)
            enter(ending, STEP_STOP, now_ns, now_ns + STOP_NS);
        else
            count_later(ending, now_ns);
        return;
    }
    /* A stopped process handles signals only after it continues. */
    proctrack_signal(termination->proctrack, p->id, SIGCONT, true, NULL);
    note(termination, ending, "terminated", "processes=%" PRIu64, members);
    enter(ending, STEP_TERM, now_ns, p->end_ns + p->grace_ns);
}

/* After a restart the grace may be over. One with suspend is here if its lease was preempted. */
static bool has_grace(const struct partition *p, int64_t now_ns)
{
    return (p->on_expiry == ON_EXPIRY_TERM || p->on_expiry == ON_EXPIRY_SUSPEND) &&
           p->end_ns + p->grace_ns > now_ns;
}

static void begin(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    ending->begun_ns = now_ns;
    if (has_grace(&ending->partition, now_ns)) {
        term(termination, ending, now_ns);
    } else if (ending->partition.on_expiry == ON_EXPIRY_NONE) {
        note(termination, ending, "left", "processes=%" PRIu64, count_members(termination, ending));
        enter(ending, STEP_LEFT, now_ns, INT64_MAX);
    } else {
        kill_members(termination, ending, now_ns);
    }
}

/* Whether the ending's next step is SIGKILL. It needs no waiting, so these steps come first. */
static bool kills(const struct ending *ending, int64_t now_ns)
{
    switch (ending->step) {
    case STEP_BEGIN:
        return ending->partition.on_expiry != ON_EXPIRY_NONE &&
               !has_grace(&ending->partition, now_ns);
    case STEP_STOP:
        return !has_grace(&ending->partition, now_ns);
    case STEP_TERM:
        return now_ns >= ending->limit_ns;
    default:
        return false;
    }
}

/* Take the step that is due while members remain. */
static void advance(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    if (ending->step == STEP_BEGIN) {
        begin(termination, ending, now_ns);
        return;
    }
    if (kills(ending, now_ns)) {
        kill_members(termination, ending, now_ns);
        return;
    }
    if (ending->step == STEP_STOP) {
        term(termination, ending, now_ns);
        return;
    }
    if (ending->step == STEP_KILL || ending->step == STEP_STUCK)
        kill_again(termination, ending, now_ns);
    if (ending->step == STEP_KILL && now_ns >= ending->limit_ns) {
        note(termination, ending, "stuck", "processes=%" PRIu64,
             count_members(termination, ending));
        enter(ending, STEP_STUCK, now_ns, INT64_MAX);
        return;
    }
    count_later(ending, now_ns);
}

/* Handle one ending. Return whether it goes on. */
static bool step(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    int r = proctrack_forget(termination->proctrack, ending->partition.id);
    if (r == -EBUSY) {
        advance(termination, ending, now_ns);
        return true;
    }
    if (r) { /* it may still have members: try again later */
        ending->count_ns = now_ns + COUNT_LAST_NS;
        return true;
    }
    if (ending->step == STEP_LEFT) /* looked at too rarely to know when */
        termination->note(termination->context, &ending->partition, "emptied", "");
    else if (ending->step != STEP_BEGIN)
        note(termination, ending, "emptied", "after_ms=%" PRIu64,
             (uint64_t)((now_ns - ending->begun_ns) / NS_PER_MS));
    return false;
}

/* -- turns ------------------------------------------------------------------------------- */

/* Of one account: what kills first, then what is due longest. */
static int compare_of_account(const void *one, const void *other)
{
    const struct terminate_turn *a = one, *b = other;
    if (a->account != b->account)
        return a->account < b->account ? -1 : 1;
    if (a->kills != b->kills)
        return a->kills ? -1 : 1;
    return a->count_ns < b->count_ns ? -1 : a->count_ns > b->count_ns;
}

/* The first of each account, then the second of each, and so on; each round goes on where the call
 * before stopped. */
static int compare_turns(const void *one, const void *other)
{
    const struct terminate_turn *a = one, *b = other;
    if (a->turn != b->turn)
        return a->turn < b->turn ? -1 : 1;
    if (a->waited != b->waited)
        return a->waited ? -1 : 1;
    return a->kills != b->kills      ? (a->kills ? -1 : 1)
           : a->account < b->account ? -1
                                     : a->account > b->account;
}

/* Return whether the order of a round puts `turn` after the last one of the call before. */
static bool waited(const struct termination *termination, const struct terminate_turn *turn)
{
    if (!termination->last.cut_short)
        return false;
    if (turn->kills != termination->last.kills)
        return termination->last.kills;
    return turn->account > termination->last.account;
}

/* List the endings that are due in the order of their turns. Return how many. */
static size_t take_turns(struct termination *termination, int64_t now_ns)
{
    struct terminate_turn *turns = termination->turns;
    size_t count = 0;
    for (size_t i = 0; i < termination->count; i++) {
        const struct ending *ending = termination->endings[i];
        if (ending->count_ns <= now_ns)
            turns[count++] = (struct terminate_turn){.index = i,
                                                     .account = ending->account,
                                                     .kills = kills(ending, now_ns),
                                                     .count_ns = ending->count_ns};
    }
    qsort(turns, count, sizeof(*turns), compare_of_account);
    for (size_t i = 0; i < count; i++) {
        bool same = i > 0 && turns[i].account == turns[i - 1].account;
        turns[i].turn = same ? turns[i - 1].turn + 1 : 0;
        turns[i].waited = waited(termination, &turns[i]);
    }
    qsort(turns, count, sizeof(*turns), compare_turns);
    return count;
}

/* Close the gaps that endings left. */
static void remove_done(struct termination *termination)
{
    size_t kept = 0;
    for (size_t i = 0; i < termination->count; i++) {
        if (termination->endings[i])
            termination->endings[kept++] = termination->endings[i];
    }
    termination->count = kept;
}

/* A person with a thousand endings delays another's by one step. End a call after a while, so that
 * the caller does not wait either: what was not served is due longest in the next. */
void terminate_step(struct termination *termination, int64_t now_ns)
{
    if (terminate_next_ns(termination) > now_ns)
        return;
    proctrack_scan(termination->proctrack);
    size_t count = take_turns(termination, now_ns);
    int64_t until_ns = clock_monotonic_ns() + STEP_MAX_NS;
    bool done = false;
    size_t i = 0;
    for (; i < count && (i == 0 || clock_monotonic_ns() < until_ns); i++) {
        struct ending **at = &termination->endings[termination->turns[i].index];
        if (step(termination, *at, now_ns))
            continue;
        avl_remove(&termination->by_id, &(*at)->by_id);
        free(*at);
        *at = NULL;
        done = true;
    }
    termination->last.cut_short = i < count;
    termination->last.kills = termination->turns[i - 1].kills;
    termination->last.account = termination->turns[i - 1].account;
    if (done)
        remove_done(termination);
}

int64_t terminate_next_ns(const struct termination *termination)
{
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < termination->count; i++)
        if (termination->endings[i]->count_ns < next_ns)
            next_ns = termination->endings[i]->count_ns;
    return next_ns;
}
