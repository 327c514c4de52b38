/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the processes of partitions that ended; see ladder.h. */
#include "ladder.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS INT64_C(1000000)
/* Whether they are gone is looked at soon at first, then at longer and longer
 * intervals: a program that ends at once frees its memory at once. */
#define LOOK_FIRST_NS (2 * MS)
#define LOOK_SOON_NS  (20 * MS) /* in the first second */
#define LOOK_LAST_NS  (200 * MS)
/* Processes that run on (`none`), and those that not even SIGKILL ends. */
#define LOOK_IDLE_NS (10000 * MS)
/* A process in the kernel's hands can take so long to die before it is told. */
#define STUCK_NS (5000 * MS)

/* So long at most the caller is held. */
#define STEP_NS (100 * MS)

enum step { STEP_BEGIN, STEP_LEFT, STEP_TERM, STEP_KILL, STEP_STUCK };

struct rung {
    struct partition partition;
    enum step step;
    int64_t begun_ns; /* when the first step was taken */
    int64_t limit_ns; /* when the next step is due */
    int64_t look_ns;  /* when it is looked at next */
    int64_t pause_ns; /* between looks */
};

struct ladder {
    struct enforcer *enforcer;
    ladder_note_fn *note;
    void *context;
    struct rung *rungs;
    size_t count, capacity;
    size_t turn; /* whose step is next */
};

int ladder_new(struct enforcer *enforcer, ladder_note_fn *note, void *context,
               struct ladder **ret_ladder)
{
    struct ladder *ladder = calloc(1, sizeof(*ladder));
    if (!ladder)
        return -ENOMEM;
    *ladder = (struct ladder){.enforcer = enforcer, .note = note, .context = context};
    *ret_ladder = ladder;
    return 0;
}

struct ladder *ladder_free(struct ladder *ladder)
{
    if (ladder)
        free(ladder->rungs);
    free(ladder);
    return NULL;
}

static const struct rung *find(const struct ladder *ladder, uint64_t id)
{
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].partition.id == id)
            return &ladder->rungs[i];
    return NULL;
}

bool ladder_ends(const struct ladder *ladder, uint64_t id)
{
    const struct rung *rung = find(ladder, id);
    return rung && rung->partition.on_expiry != ON_EXPIRY_NONE;
}

int ladder_add(struct ladder *ladder, int64_t now_ns, const struct partition *partition)
{
    if (find(ladder, partition->id))
        return 0;
    if (ladder->count == ladder->capacity) {
        size_t capacity = ladder->capacity ? ladder->capacity * 2 : 16;
        struct rung *rungs = realloc(ladder->rungs, capacity * sizeof(*rungs));
        if (!rungs)
            return -ENOMEM;
        ladder->rungs = rungs;
        ladder->capacity = capacity;
    }
    ladder->rungs[ladder->count++] = (struct rung){.partition = *partition, .look_ns = now_ns};
    return 0;
}

static void say(struct ladder *ladder, const struct rung *rung, const char *word,
                const char *format, uint64_t number)
{
    char details[64];
    snprintf(details, sizeof(details), format, number);
    ladder->note(ladder->context, &rung->partition, word, details);
}

/* Goes on to a step: its limit, and looks from now on at short intervals. */
static void enter(struct rung *rung, enum step step, int64_t now_ns, int64_t limit_ns)
{
    rung->step = step;
    rung->limit_ns = limit_ns;
    rung->pause_ns = step == STEP_LEFT || step == STEP_STUCK ? LOOK_IDLE_NS : LOOK_FIRST_NS;
    rung->look_ns = now_ns + rung->pause_ns;
}

static void end_them(struct ladder *ladder, struct rung *rung, int64_t now_ns, uint64_t members)
{
    enforcer_kill(ladder->enforcer, rung->partition.id);
    say(ladder, rung, "killed", "processes=%" PRIu64, members);
    enter(rung, STEP_KILL, now_ns, now_ns + STUCK_NS);
}

static void begin(struct ladder *ladder, struct rung *rung, int64_t now_ns, uint64_t members)
{
    const struct partition *p = &rung->partition;
    rung->begun_ns = now_ns;
    switch (p->on_expiry) {
    case ON_EXPIRY_TERM:
        /* Found after a restart, the grace may be over. */
        if (p->end_ns + p->grace_ns > now_ns) {
            enforcer_signal(ladder->enforcer, p->id, SIGTERM, NULL);
            /* A stopped process hears nothing before it goes on. */
            enforcer_signal(ladder->enforcer, p->id, SIGCONT, NULL);
            say(ladder, rung, "terminated", "processes=%" PRIu64, members);
            enter(rung, STEP_TERM, now_ns, p->end_ns + p->grace_ns);
            return;
        }
        end_them(ladder, rung, now_ns, members);
        return;
    case ON_EXPIRY_KILL:
        end_them(ladder, rung, now_ns, members);
        return;
    default:
        say(ladder, rung, "left", "processes=%" PRIu64, members);
        enter(rung, STEP_LEFT, now_ns, INT64_MAX);
        return;
    }
}

/* The next look comes later than this one did, and not past the next step. */
static void wait_on(struct rung *rung, int64_t now_ns)
{
    bool soon = rung->step != STEP_BEGIN && now_ns - rung->begun_ns < 1000 * MS;
    int64_t most_ns = soon ? LOOK_SOON_NS : LOOK_LAST_NS;
    if (rung->pause_ns < LOOK_FIRST_NS)
        rung->pause_ns = LOOK_FIRST_NS;
    else if (rung->pause_ns < LOOK_LAST_NS)
        rung->pause_ns = rung->pause_ns * 2 < most_ns ? rung->pause_ns * 2 : most_ns;
    rung->look_ns = now_ns + rung->pause_ns;
    if (rung->step != STEP_BEGIN && rung->look_ns > rung->limit_ns && rung->limit_ns > now_ns)
        rung->look_ns = rung->limit_ns;
}

/* What is due while there still are members. */
static void go_on(struct ladder *ladder, struct rung *rung, int64_t now_ns, uint64_t members)
{
    bool due = now_ns >= rung->limit_ns;
    if (rung->step == STEP_TERM && due) {
        end_them(ladder, rung, now_ns, members);
        return;
    }
    if (rung->step == STEP_KILL || rung->step == STEP_STUCK)
        enforcer_kill(ladder->enforcer, rung->partition.id);
    if (rung->step == STEP_KILL && due) {
        say(ladder, rung, "stuck", "processes=%" PRIu64, members);
        enter(rung, STEP_STUCK, now_ns, INT64_MAX);
        return;
    }
    wait_on(rung, now_ns);
}

/* False: it is done with. */
static bool step(struct ladder *ladder, struct rung *rung, int64_t now_ns)
{
    uint64_t id = rung->partition.id;
    int count = enforcer_members(ladder->enforcer, id, NULL, NULL);
    uint64_t members = count > 0 ? (uint64_t)count : 0;
    if (count < 0) { /* not now: it is tried again */
        rung->look_ns = now_ns + LOOK_LAST_NS;
        return true;
    }
    if (members > 0 && rung->step == STEP_BEGIN) {
        begin(ladder, rung, now_ns, members);
        return true;
    }
    if (members > 0) {
        go_on(ladder, rung, now_ns, members);
        return true;
    }
    /* The last one may still be giving its memory back, or somebody came in between. */
    if (enforcer_forget(ladder->enforcer, id) == -EBUSY) {
        wait_on(rung, now_ns);
        return true;
    }
    if (rung->step == STEP_LEFT) /* looked at so seldom that no time can be told */
        ladder->note(ladder->context, &rung->partition, "emptied", "");
    else if (rung->step != STEP_BEGIN)
        say(ladder, rung, "emptied", "after_ms=%" PRIu64,
            (uint64_t)((now_ns - rung->begun_ns) / MS));
    return false;
}

static int64_t spent_ns(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since->tv_sec) * 1000 * MS + (now.tv_nsec - since->tv_nsec);
}

/* Programs that cannot be stopped hold each step up; the others' go on, and so do those
 * who wait for the caller. So it ends after a while, and begins behind where it was. */
void ladder_step(struct ladder *ladder, int64_t now_ns)
{
    struct timespec begun;
    if (ladder_next_ns(ladder) > now_ns)
        return;
    enforcer_scan(ladder->enforcer);
    clock_gettime(CLOCK_MONOTONIC, &begun); /* after the scan: one step is always taken */
    for (size_t left = ladder->count; left > 0 && spent_ns(&begun) < STEP_NS; left--) {
        size_t i = ladder->turn < ladder->count ? ladder->turn : 0;
        struct rung *rung = &ladder->rungs[i];
        if (rung->look_ns > now_ns || step(ladder, rung, now_ns))
            ladder->turn = i + 1;
        else
            ladder->rungs[i] = ladder->rungs[--ladder->count];
    }
}

int64_t ladder_next_ns(const struct ladder *ladder)
{
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].look_ns < next_ns)
            next_ns = ladder->rungs[i].look_ns;
    return next_ns;
}
