/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New partitions: check a request, find it a place, and add what was granted. Everything that can
 * fail comes before the change.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MODE_NEW 0755

static int check_create(const struct call *call, const struct creation *creation)
{
    const struct request *request = creation->request;

    if (creation->owner_uid != call->caller->uid && !call->caller->admin)
        return refuse(
            REFUSED_PERMISSION, call->why,
            "Permission denied: only administrators can create partitions for other users.");
    if (request->hold && creation->hold == 0)
        return refuse(
            REFUSED_INVALID, call->why,
            "The word hold ties a partition to an open file; write it through a file that "
            "stays open, as in: exec 3<>new; echo \"0.5 3600 hold\" >&3.");
    if (request->unique && !request->name[0])
        return refuse(REFUSED_INVALID, call->why,
                      "The word unique needs a name, as in: 0.5 3600 name=train unique.");
    if (request->name[0])
        return request_label_check(request->name, strnlen(request->name, sizeof(request->name)),
                                   call->why->message, sizeof(call->why->message));
    return 0;
}

/* Find the partition that a request with `unique` is already granted. NULL: there is none. */
static const struct partition *find_unique(const struct engine *engine, const struct call *call,
                                           const struct creation *creation)
{
    const struct partition *p;

    for (uint64_t after = 0; (p = engine_next_of_user(engine, creation->owner_uid, after));
         after = p->id) {
        bool owned =
            call->caller->uid != creation->owner_uid || operations_is_owner(call->caller, p);

        if (owned && p->end_ns > call->now_ns && strcmp(p->name, creation->request->name) == 0)
            return p;
    }
    return NULL;
}

/* Add a granted partition: assign its id, make its event, and warn if that is due already. It takes
 * `preemption` if that is not NULL; -EAGAIN: it could not. */
static int add_created(struct engine *engine, const struct call *call, struct partition *partition,
                       const struct waiting *waiting, struct preemption *preemption,
                       uint64_t *ret_id)
{
    bool kept = waiting_is_kept(waiting, partition->state);
    bool warns = partition->state != PARTITION_PENDING && ending_settle(partition, call->now_ns);
    struct entry *entry = index_new_entry(engine, partition, kept ? waiting : NULL);
    struct engine_event *event = journal_new(EVENT_CREATED, call->now_ns, call->caller->uid);
    struct engine_event *warning =
        warns ? journal_new(EVENT_WARNED, call->now_ns, partition->uid) : NULL;
    int r = !entry || !event || (warns && !warning) ? -ENOMEM : 0;

    partition->id = engine->next_id;
    if (partition->series == ENGINE_SERIES_NEW)
        partition->series = partition->id;
    if (!r)
        entry->partition = *partition;
    if (!r && preemption && !preempt_apply(engine, call, preemption, entry))
        r = -EAGAIN;
    if (r) {
        index_free_entry(entry);
        engine_events_free(event);
        engine_events_free(warning);
        return r;
    }
    engine->next_id++;
    event->after = *partition;
    journal_append(engine, event);
    event->after.change_seq = event->seq;
    if (kept)
        event->waiting_after = *waiting;
    entry->partition = event->after;
    index_add(engine, entry);
    if (partition->state == PARTITION_PENDING)
        queue_mark_order(engine);
    if (warning)
        expiry_warn(engine, warning, entry);
    *ret_id = partition->id;
    return 0;
}

/* Add what was placed, in the room of low leases if that lets it start now. */
static int add_placed(struct engine *engine, const struct call *call, struct partition *partition,
                      const struct waiting *waiting, uint64_t *ret_id)
{
    struct partition now = *partition;
    struct preemption *preemption = NULL;

    engine->accounts.unbound = call->caller->admin;
    int r = preempt_prepare(engine, call, waiting, &now, &preemption);
    engine->accounts.unbound = false;
    if (r)
        return r;
    if (preemption)
        r = add_created(engine, call, &now, waiting, preemption, ret_id);
    if (!preemption || r == -EAGAIN)
        r = add_created(engine, call, partition, waiting, NULL, ret_id);
    preempt_free(preemption);
    return r;
}

/* Decide on a request; `terms` is NULL if there are none. *ret_same: the partition that it is
 * granted already, or NULL; then the others are not set. */
static int admit(struct engine *engine, const struct call *call, const struct creation *creation,
                 const struct creation_terms *terms, const struct partition **ret_same,
                 struct partition *ret_partition, struct waiting *ret_waiting)
{
    const struct caller *caller = call->caller;
    const struct request *request = creation->request;
    struct partition partition = {.uid = creation->owner_uid,
                                  .gid = creation->owner_gid,
                                  .mode = MODE_NEW,
                                  .state = PARTITION_ACTIVE,
                                  .share_count = 1,
                                  .on_expiry = engine->policy.default_on_expiry,
                                  .grace_ns = engine->policy.default_grace_ns,
                                  .warn = engine->policy.default_warn,
                                  .start_ns = call->now_ns,
                                  .end_ns = timeline_later(call->now_ns, request->duration_ns),
                                  .series = terms ? terms->series : 0,
                                  .quota_group = request->quota_group,
                                  .created_wall_ns = call->wall_ns,
                                  .hold = request->hold ? creation->hold : 0,
                                  .creator_ns = caller->ns,
                                  .creator_uid = caller->uid,
                                  .creator_pid = caller->pid};
    struct waiting waiting = {0};
    int r = check_create(call, creation);

    *ret_same = !r && request->unique ? find_unique(engine, call, creation) : NULL;
    if (*ret_same)
        return 0;
    if (!r)
        r = drain_check_new(engine, call, creation->owner_uid);
    if (!r)
        r = ending_apply(engine, call, &request->ending, &partition);
    if (!r)
        r = plan_finish(engine, call->now_ns);
    if (!r && request->share)
        r = compute_begin(engine);
    if (!r)
        r = accounts_prepare(engine, &partition);
    engine->accounts.unbound = caller->admin;
    if (!r && terms)
        r = admission_place(engine, call, creation, terms, &partition, &waiting);
    else if (!r)
        r = admission_create(engine, call, creation->device, request, partition.shares);
    engine->accounts.unbound = false;
    if (!r && request->ending.set_on_expiry)
        r = ending_check_suspend(engine, call, &partition);
    if (!r)
        r = accounts_check(engine, call, &partition, terms ? terms->priority : 0, NULL);
    if (r) {
        accounts_forget(engine, &partition);
        return r;
    }
    memcpy(partition.name, request->name, sizeof(partition.name));
    *ret_partition = partition;
    *ret_waiting = waiting;
    return 0;
}

static int create(struct engine *engine, const struct call *call, const struct creation *creation,
                  const struct creation_terms *terms, uint64_t *ret_id)
{
    const struct partition *same;
    struct partition partition;
    struct waiting waiting;
    int r = admit(engine, call, creation, terms, &same, &partition, &waiting);

    if (r)
        return r;
    if (!same)
        return add_placed(engine, call, &partition, &waiting, ret_id);
    *ret_id = same->id;
    return 0;
}

int engine_check_create(struct engine *engine, const struct call *call,
                        const struct creation *creation, const struct creation_terms *terms,
                        struct partition *ret_partition)
{
    const struct partition *same;
    struct waiting waiting;
    int r = admit(engine, call, creation, terms, &same, ret_partition, &waiting);

    if (!r && same)
        *ret_partition = *same;
    else if (!r)
        accounts_forget(engine, ret_partition);
    return r;
}

int engine_create(struct engine *engine, const struct call *call, const struct creation *creation,
                  uint64_t *ret_id)
{
    return create(engine, call, creation, NULL, ret_id);
}

int engine_enqueue(struct engine *engine, const struct call *call, const struct creation *creation,
                   const struct creation_terms *terms, uint64_t *ret_id)
{
    return create(engine, call, creation, terms, ret_id);
}
