/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the processes of partitions that ended; see ladder.h. */
#include "terminate.h"

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

struct ending {
    struct partition partition;
    enum step step;
    int64_t begun_ns; /* when the first step was taken */
    int64_t limit_ns; /* when the next step is due */
    int64_t look_ns;  /* when it is looked at next */
    int64_t pause_ns; /* between looks */
};

struct termination {
    struct proctrack *proctrack;
    terminate_note_fn *note;
    void *context;
    struct ending *endings;
    size_t count, capacity;
    size_t turn; /* whose step is next */
};

int terminate_new(struct proctrack *proctrack, terminate_note_fn *note, void *context,
                  struct termination **ret_ladder)
{
    struct termination *termination = calloc(1, sizeof(*termination));
    if (!termination)
        return -ENOMEM;
    *termination = (struct termination){.proctrack = proctrack, .note = note, .context = context};
    *ret_ladder = termination;
    return 0;
}

struct termination *terminate_free(struct termination *termination)
{
    if (termination)
        free(termination->endings);
    free(termination);
    return NULL;
}

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
    if (termination->count == termination->capacity) {
        size_t capacity = termination->capacity ? termination->capacity * 2 : 16;
        struct ending *endings = realloc(termination->endings, capacity * sizeof(*endings));
        if (!endings)
            return -ENOMEM;
        termination->endings = endings;
        termination->capacity = capacity;
    }
    termination->endings[termination->count++] =
        (struct ending){.partition = *partition, .look_ns = now_ns};
    return 0;
}

static void say(struct termination *termination, const struct ending *ending, const char *word,
                const char *format, uint64_t number)
{
    char details[64];
    snprintf(details, sizeof(details), format, number);
    termination->note(termination->context, &ending->partition, word, details);
}

/* Goes on to a step: its limit, and looks from now on at short intervals. */
static void enter(struct ending *ending, enum step step, int64_t now_ns, int64_t limit_ns)
{
    ending->step = step;
    ending->limit_ns = limit_ns;
    ending->pause_ns = step == STEP_LEFT || step == STEP_STUCK ? LOOK_IDLE_NS : LOOK_FIRST_NS;
    ending->look_ns = now_ns + ending->pause_ns;
}

static void end_them(struct termination *termination, struct ending *ending, int64_t now_ns,
                     uint64_t members)
{
    proctrack_kill(termination->proctrack, ending->partition.id);
    say(termination, ending, "killed", "processes=%" PRIu64, members);
    enter(ending, STEP_KILL, now_ns, now_ns + STUCK_NS);
}

static void begin(struct termination *termination, struct ending *ending, int64_t now_ns,
                  uint64_t members)
{
    const struct partition *p = &ending->partition;
    ending->begun_ns = now_ns;
    switch (p->on_expiry) {
    case ON_EXPIRY_TERM:
        /* Found after a restart, the grace may be over. */
        if (p->end_ns + p->grace_ns > now_ns) {
            proctrack_signal(termination->proctrack, p->id, SIGTERM, NULL);
            /* A stopped process hears nothing before it goes on. */
            proctrack_signal(termination->proctrack, p->id, SIGCONT, NULL);
            say(termination, ending, "terminated", "processes=%" PRIu64, members);
            enter(ending, STEP_TERM, now_ns, p->end_ns + p->grace_ns);
            return;
        }
        end_them(termination, ending, now_ns, members);
        return;
    case ON_EXPIRY_KILL:
        end_them(termination, ending, now_ns, members);
        return;
    default:
        say(termination, ending, "left", "processes=%" PRIu64, members);
        enter(ending, STEP_LEFT, now_ns, INT64_MAX);
        return;
    }
}

/* The next look comes later than this one did, and not past the next step. */
static void wait_on(struct ending *ending, int64_t now_ns)
{
    bool soon = ending->step != STEP_BEGIN && now_ns - ending->begun_ns < 1000 * MS;
    int64_t most_ns = soon ? LOOK_SOON_NS : LOOK_LAST_NS;
    if (ending->pause_ns < LOOK_FIRST_NS)
        ending->pause_ns = LOOK_FIRST_NS;
    else if (ending->pause_ns < LOOK_LAST_NS)
        ending->pause_ns = ending->pause_ns * 2 < most_ns ? ending->pause_ns * 2 : most_ns;
    ending->look_ns = now_ns + ending->pause_ns;
    if (ending->step != STEP_BEGIN && ending->look_ns > ending->limit_ns &&
        ending->limit_ns > now_ns)
        ending->look_ns = ending->limit_ns;
}

/* What is due while there still are members. */
static void go_on(struct termination *termination, struct ending *ending, int64_t now_ns,
                  uint64_t members)
{
    bool due = now_ns >= ending->limit_ns;
    if (ending->step == STEP_TERM && due) {
        end_them(termination, ending, now_ns, members);
        return;
    }
    if (ending->step == STEP_KILL || ending->step == STEP_STUCK)
        proctrack_kill(termination->proctrack, ending->partition.id);
    if (ending->step == STEP_KILL && due) {
        say(termination, ending, "stuck", "processes=%" PRIu64, members);
        enter(ending, STEP_STUCK, now_ns, INT64_MAX);
        return;
    }
    wait_on(ending, now_ns);
}

/* False: it is done with. */
static bool step(struct termination *termination, struct ending *ending, int64_t now_ns)
{
    uint64_t id = ending->partition.id;
    int count = proctrack_members(termination->proctrack, id, NULL, NULL);
    uint64_t members = count > 0 ? (uint64_t)count : 0;
    if (count < 0) { /* not now: it is tried again */
        ending->look_ns = now_ns + LOOK_LAST_NS;
        return true;
    }
    if (members > 0 && ending->step == STEP_BEGIN) {
        begin(termination, ending, now_ns, members);
        return true;
    }
    if (members > 0) {
        go_on(termination, ending, now_ns, members);
        return true;
    }
    /* The last one may still be giving its memory back, or somebody came in between. */
    if (proctrack_forget(termination->proctrack, id) == -EBUSY) {
        wait_on(ending, now_ns);
        return true;
    }
    if (ending->step == STEP_LEFT) /* looked at so seldom that no time can be told */
        termination->note(termination->context, &ending->partition, "emptied", "");
    else if (ending->step != STEP_BEGIN)
        say(termination, ending, "emptied", "after_ms=%" PRIu64,
            (uint64_t)((now_ns - ending->begun_ns) / MS));
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
void terminate_step(struct termination *termination, int64_t now_ns)
{
    struct timespec begun;
    if (terminate_next_ns(termination) > now_ns)
        return;
    proctrack_scan(termination->proctrack);
    clock_gettime(CLOCK_MONOTONIC, &begun); /* after the scan: one step is always taken */
    for (size_t left = termination->count; left > 0 && spent_ns(&begun) < STEP_NS; left--) {
        size_t i = termination->turn < termination->count ? termination->turn : 0;
        struct ending *ending = &termination->endings[i];
        if (ending->look_ns > now_ns || step(termination, ending, now_ns))
            termination->turn = i + 1;
        else
            termination->endings[i] = termination->endings[--termination->count];
    }
}

int64_t terminate_next_ns(const struct termination *termination)
{
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < termination->count; i++)
        if (termination->endings[i].look_ns < next_ns)
            next_ns = termination->endings[i].look_ns;
    return next_ns;
}
