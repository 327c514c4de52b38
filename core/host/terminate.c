/* SPDX-License-Identifier: Apache-2.0 */
/* End the processes of ended partitions; see terminate.h. */
#include "terminate.h"

#include "core/base/array.h"
#include "core/base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

/* Count members at short intervals first, then at longer ones: a program that ends at once frees
 * its memory at once. */
#define COUNT_FIRST_NS (2 * NS_PER_MS)
#define COUNT_SOON_NS  (20 * NS_PER_MS) /* in the first second */
#define COUNT_LAST_NS  (200 * NS_PER_MS)
/* Interval for processes that are left alone or survive SIGKILL. */
#define COUNT_IDLE_NS (10 * NS_PER_SECOND)
/* Report a process as stuck in the kernel this long after SIGKILL. */
#define STUCK_NS (5 * NS_PER_SECOND)

/* Limit the duration of one terminate_step. */
#define STEP_MAX_NS (100 * NS_PER_MS)

enum step { STEP_BEGIN, STEP_LEFT, STEP_TERM, STEP_KILL, STEP_STUCK };

struct ending {
    struct partition partition;
    enum step step;
    int64_t begun_ns; /* when the first step was taken */
    int64_t limit_ns; /* when the next step is due */
    int64_t count_ns; /* when members are counted next */
    int64_t pause_ns; /* between two counts */
};

static const struct ending *find(const struct termination *termination, uint64_t id)
{
    for (size_t i = 0; i < termination->count; i++)
        if (termination->endings[i].partition.id == id)
            return &termination->endings[i];
    return NULL;
}

bool terminate_ends(const struct termination *termination, uint64_t id)
{
    const struct ending *ending = find(termination, id);
    return ending && ending->partition.on_expiry != ON_EXPIRY_NONE;
}

int terminate_add(struct termination *termination, int64_t now_ns,
                  const struct partition *partition)
{
    if (find(termination, partition->id))
        return 0;
    if (array_reserve(termination->endings, termination->capacity, termination->count + 1))
        return -ENOMEM;
    termination->endings[termination->count++] =
        (struct ending){.partition = *partition, .count_ns = now_ns};
    return 0;
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

static void kill_members(struct termination *termination, struct ending *ending, int64_t now_ns,
                         uint64_t members)
{
    proctrack_kill(termination->proctrack, ending->partition.id);
    note(termination, ending, "killed", "processes=%" PRIu64, members);
    enter(ending, STEP_KILL, now_ns, now_ns + STUCK_NS);
}

static void begin(struct termination *termination, struct ending *ending, int64_t now_ns,
                  uint64_t members)
{
    const struct partition *p = &ending->partition;
    ending->begun_ns = now_ns;
    switch (p->on_expiry) {
    case ON_EXPIRY_TERM:
        /* After a restart the grace may be over. */
        if (p->end_ns + p->grace_ns > now_ns) {
            proctrack_signal(termination->proctrack, p->id, SIGTERM, NULL);
            /* A stopped process handles signals only after it continues. */
            proctrack_signal(termination->proctrack, p->id, SIGCONT, NULL);
            note(termination, ending, "terminated", "processes=%" PRIu64, members);
            enter(ending, STEP_TERM, now_ns, p->end_ns + p->grace_ns);
            return;
        }
        kill_members(termination, ending, now_ns, members);
        return;
    case ON_EXPIRY_KILL:
        kill_members(termination, ending, now_ns, members);
        return;
    default:
        note(termination, ending, "left", "processes=%" PRIu64, members);
        enter(ending, STEP_LEFT, now_ns, INT64_MAX);
        return;
    }
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

/* Take the step that is due while members remain. */
static void advance(struct termination *termination, struct ending *ending, int64_t now_ns,
                    uint64_t members)
{
    bool due = now_ns >= ending->limit_ns;
    if (ending->step == STEP_TERM && due) {
        kill_members(termination, ending, now_ns, members);
        return;
    }
    if (ending->step == STEP_KILL || ending->step == STEP_STUCK)
        proctrack_kill(termination->proctrack, ending->partition.id);
    if (ending->step == STEP_KILL && due) {
        note(termination, ending, "stuck", "processes=%" PRIu64, members);
        enter(ending, STEP_STUCK, now_ns, INT64_MAX);
        return;
    }
    count_later(ending, now_ns);
}

/* Handle one ending. False: done. */
static bool step(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    uint64_t id = ending->partition.id;
    int count = proctrack_members(termination->proctrack, id, NULL, NULL);
    uint64_t members = count > 0 ? (uint64_t)count : 0;
    if (count < 0) { /* try again later */
        ending->count_ns = now_ns + COUNT_LAST_NS;
        return true;
    }
    if (members && ending->step == STEP_BEGIN) {
        begin(termination, ending, now_ns, members);
        return true;
    }
    if (members) {
        advance(termination, ending, now_ns, members);
        return true;
    }
    /* The last process may still be freeing its memory, or another one has joined. */
    if (proctrack_forget(termination->proctrack, id) == -EBUSY) {
        count_later(ending, now_ns);
        return true;
    }
    if (ending->step == STEP_LEFT) /* counted too rarely to know when */
        termination->note(termination->context, &ending->partition, "emptied", "");
    else if (ending->step != STEP_BEGIN)
        note(termination, ending, "emptied", "after_ms=%" PRIu64,
             (uint64_t)((now_ns - ending->begun_ns) / NS_PER_MS));
    return false;
}

/* Hanging programs make each step slow. End a call after a while and continue behind it in the
 * next, so that neither other partitions nor the caller wait for them. */
void terminate_step(struct termination *termination, int64_t now_ns)
{
    if (terminate_next_ns(termination) > now_ns)
        return;
    proctrack_scan(termination->proctrack);
    int64_t until_ns = clock_monotonic_ns() + STEP_MAX_NS;
    for (size_t left = termination->count; left && clock_monotonic_ns() < until_ns; left--) {
        size_t i = termination->turn < termination->count ? termination->turn : 0;
        struct ending *ending = &termination->endings[i];
        if (ending->count_ns > now_ns || step(termination, ending, now_ns))
            termination->turn = i + 1;
        else
            termination->endings[i] = termination->endings[--termination->count];
    }
}

int64_t terminate_next_ns(const struct termination *termination)
{
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < termination->count; i++)
        if (termination->endings[i].count_ns < next_ns)
            next_ns = termination->endings[i].count_ns;
    return next_ns;
}
