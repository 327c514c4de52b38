/* SPDX-License-Identifier: Apache-2.0 */
#include "planned.h"

#include "core/base/ns.h"
#include "core/engine/accounts.h"
#include "core/engine/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_BYTES (UINT64_C(80) << 30)
#define FIRST_UID    1000

struct planned {
    struct jobs *jobs;
    struct engine *engine;
    int64_t now_ns;
    size_t next;     /* job to come */
    size_t *running; /* jobs that hold devices */
    size_t running_count;
    size_t *by_id; /* job of a partition; ids count up from 1 */
    uint64_t *ids;
};

static void check(int r, const struct refusal *why, const char *what)
{
    if (!r)
        return;
    fprintf(stderr, "%s: %d: %s\n", what, r, r > 0 && why ? why->message : strerror(-r));
    exit(1);
}

static void time_text(void *context, int64_t at_ns, char *text, size_t size)
{
    (void)context;
    snprintf(text, size, "%" PRId64 " s", at_ns / NS_PER_SECOND);
}

static void note_start(struct planned *planned, size_t index, const struct partition *partition)
{
    struct job *job = &planned->jobs->job[index];

    job->start_s = partition->start_ns / NS_PER_SECOND;
    for (uint32_t i = 0; i < job->gpus; i++)
        job->devices[i] = partition->shares[i].device;
    planned->running[planned->running_count++] = index;
}

static void note_end(struct planned *planned, size_t index, const struct partition *partition)
{
    struct job *job = &planned->jobs->job[index];

    job->end_s = partition->end_ns / NS_PER_SECOND;
    for (size_t i = 0; i < planned->running_count; i++) {
        if (planned->running[i] == index)
            planned->running[i--] = planned->running[--planned->running_count];
    }
}

/* Note what the engine did. */
static void note_events(struct planned *planned)
{
    struct engine_event *events = engine_take_events(planned->engine);

    for (const struct engine_event *event = events; event; event = event->next) {
        size_t index = planned->by_id[event->after.id];

        if (event->kind == EVENT_STARTED ||
            (event->kind == EVENT_CREATED && event->after.state == PARTITION_ACTIVE))
            note_start(planned, index, &event->after);
        else if (event_kind_is_end(event->kind))
            note_end(planned, index, &event->after);
    }
    engine_events_free(events);
}

/* End jobs that need less time than they asked for, as their users do. Others run until the engine
 * ends them. */
static void release_finished(struct planned *planned)
{
    for (size_t i = 0; i < planned->running_count; i++) {
        size_t index = planned->running[i];
        const struct job *job = &planned->jobs->job[index];
        struct caller caller = {.uid = FIRST_UID + job->user};
        struct refusal why;

        if (job->run_s < job->asked_s &&
            (job->start_s + job->run_s) * NS_PER_SECOND == planned->now_ns)
            check(engine_release(planned->engine, ENGINE_CALL(planned->now_ns, 0, &caller, &why),
                                 planned->ids[index]),
                  &why, "release");
    }
}

static void submit(struct planned *planned, size_t index)
{
    struct job *job = &planned->jobs->job[index];
    uint32_t uid = FIRST_UID + job->user;
    struct caller caller = {.uid = uid, .gid = uid, .admin = true};
    struct request request = {
        .amount = {.is_share = true, .digits = job->milli, .scale = JOBS_WHOLE},
        .duration_ns = job->asked_s * NS_PER_SECOND};
    struct creation creation = {
        .request = &request, .device = ENGINE_DEVICE_ANY, .owner_uid = uid, .owner_gid = uid};
    struct creation_terms terms = {
        .waits = true, .give_up_ns = ENGINE_FOREVER, .priority = job->priority, .gpus = job->gpus};
    struct refusal why;

    check(engine_enqueue(planned->engine, ENGINE_CALL(planned->now_ns, 0, &caller, &why), &creation,
                         &terms, &planned->ids[index]),
          &why, "enqueue");
    planned->by_id[planned->ids[index]] = index;
    const struct waiting *waiting = engine_waiting(planned->engine, planned->ids[index]);
    job->promised_s = (waiting ? waiting->promised_ns : planned->now_ns) / NS_PER_SECOND;
    note_events(planned);
}

/* The next moment at which something happens; ENGINE_FOREVER: never. */
static int64_t next_moment(const struct planned *planned)
{
    int64_t next_ns = engine_next_wakeup(planned->engine);

    if (planned->next < planned->jobs->count) {
        int64_t at_ns = planned->jobs->job[planned->next].submit_s * NS_PER_SECOND;
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    for (size_t i = 0; i < planned->running_count; i++) {
        const struct job *job = &planned->jobs->job[planned->running[i]];
        int64_t at_ns = (job->start_s + job->run_s) * NS_PER_SECOND;
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns > planned->now_ns ? next_ns : planned->now_ns; /* the plan may not be finished */
}

/* Set what "NAME=VALUE" says. */
static void set(struct engine *engine, const char *setting)
{
    struct caller root = {.admin = true, .root = true};
    const char *value = strchr(setting, '=');
    char key[ENGINE_KEY_MAX];
    struct refusal why;

    snprintf(key, sizeof(key), "config/%.*s", value ? (int)(value - setting) : 99, setting);
    check(engine_set(engine, ENGINE_CALL(0, 0, &root, &why), key, value ? value + 1 : ""), &why,
          setting);
}

static void set_up(struct planned *planned, uint32_t device_count,
                   const struct planned_rules *rules)
{
    size_t count = planned->jobs->count;
    struct engine_device device = {DEVICE_BYTES, true};
    uint32_t index;

    planned->running = jobs_allocate(count, sizeof(*planned->running));
    planned->by_id = jobs_allocate(count + 1, sizeof(*planned->by_id));
    planned->ids = jobs_allocate(count, sizeof(*planned->ids));
    check(engine_new(time_text, NULL, &planned->engine), NULL, "engine");
    for (uint32_t i = 0; i < device_count; i++)
        check(engine_add_device(planned->engine, &device, &index), NULL, "device");
    engine_set_rules(planned->engine,
                     &(struct engine_rules){.order = rules->fair ? engine_order_by_usage : NULL,
                                            .context = planned->engine});
    for (uint32_t i = 0; i < rules->setting_count; i++)
        set(planned->engine, rules->settings[i]);
}

void planned_run(struct jobs *jobs, uint32_t device_count, const struct planned_rules *rules)
{
    struct planned planned = {.jobs = jobs};

    set_up(&planned, device_count, rules);
    while ((planned.now_ns = next_moment(&planned)) != ENGINE_FOREVER) {
        release_finished(&planned);
        check(engine_advance(planned.engine, planned.now_ns), NULL, "advance");
        note_events(&planned);
        while (planned.next < jobs->count &&
               jobs->job[planned.next].submit_s * NS_PER_SECOND == planned.now_ns)
            submit(&planned, planned.next++);
    }
    engine_free(planned.engine);
    free(planned.running);
    free(planned.by_id);
    free(planned.ids);
}
