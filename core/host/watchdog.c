/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Implement the watchdog; see watchdog.h. A check finds the violations in a sample, merges them
 * into the known ones, and takes the steps that are due. Allocate all memory before changing
 * anything.
 */
#include "watchdog_internal.h"

#include "core/base/array.h"
#include "core/gpu/usage.h"

#include <signal.h>
#include <stdlib.h>

/* One check. */
struct check {
    struct watchdog *watchdog;
    struct watchdog_sample *sample;
    int64_t now_ns;
    size_t known_count; /* violations before it, sorted by key */
    size_t actions;
    watchdog_action_fn *fn;
    void *context;
};

/* -- order -------------------------------------------------------------------------- */

/* Compare by kind, partition and the device of that, then (unless that is over its limit) by
 * process. */
static int compare_keys(const void *a, const void *b)
{
    const struct violation *left = a, *right = b;
    int r = COMPARE(left->kind, right->kind);
    if (!r)
        r = COMPARE(left->partition_id, right->partition_id);
    if (!r && left->kind != VIOLATION_UNMANAGED)
        r = COMPARE(left->device, right->device);
    if (r || left->kind == VIOLATION_OVER_LIMIT)
        return r;
    r = COMPARE(left->pid, right->pid);
    return r ? r : COMPARE(left->start, right->start);
}

static int compare_ages(const void *a, const void *b)
{
    const struct violation *left = a, *right = b;
    int r = COMPARE(left->since_ns, right->since_ns);
    return r ? r : compare_keys(left, right);
}

/* -- merging ------------------------------------------------------------------------ */

static bool is_known_device(const struct watchdog_sample *sample, uint32_t device)
{
    return !sample->device_known || device >= sample->device_count || sample->device_known[device];
}

static bool counts(const struct watchdog_process *process)
{
    return process->bytes && process->start && process->pid > 0;
}

/* Return whether the process is a member that uses the partition's device. */
static bool is_using(const struct watchdog_process *process, const struct violation *violation)
{
    return counts(process) && process->partition_id == violation->partition_id &&
           process->device == violation->device;
}

/* Return whether the member that got SIGTERM still uses the device. */
static bool is_still_using(const struct check *check, const struct violation *violation)
{
    for (size_t i = 0; i < check->sample->process_count; i++) {
        const struct watchdog_process *process = &check->sample->processes[i];
        if (process->pid == violation->pid && process->start == violation->start &&
            is_using(process, violation))
            return true;
    }
    return false;
}

/* Add a violation, or update the known one. */
static void merge(struct check *check, struct violation found)
{
    struct watchdog *watchdog = check->watchdog;
    struct violation *known =
        bsearch(&found, watchdog->violations, check->known_count, sizeof(found), compare_keys);
    found.seen = true;
    found.blind = !is_known_device(check->sample, found.device);
    found.since_ns = found.seen_ns = check->now_ns;
    if (!known) {
        watchdog->violations[watchdog->count++] = found;
        return;
    }
    found.since_ns = known->since_ns;
    found.stage = known->stage;
    found.step_ns = known->step_ns;
    if (found.kind == VIOLATION_OVER_LIMIT && found.stage >= VIOLATION_TERM) {
        if (is_still_using(check, known)) {
            found.pid = known->pid;
            found.start = known->start;
            found.uid = known->uid;
        } else { /* it is gone, which was not enough: same grace for the next */
            found.stage = VIOLATION_WARNED;
            found.step_ns = check->now_ns;
        }
    }
    *known = found;
}

/* -- detection ---------------------------------------------------------------------- */

/* Compare usage; any known amount is more than an unknown one. */
static bool is_more(uint64_t bytes, uint64_t than)
{
    return bytes != GPU_BYTES_UNKNOWN && (than == GPU_BYTES_UNKNOWN || bytes > than);
}

/* Return the usage that is the process's own for sure, or GPU_BYTES_UNKNOWN. */
static uint64_t own_bytes(const struct watchdog_process *process)
{
    return process->bytes == GPU_BYTES_UNKNOWN ? process->bytes
                                               : process->bytes - process->shared_bytes;
}

static bool may_end(const struct watchdog_process *member)
{
    return member->uid && member->bytes != GPU_BYTES_UNKNOWN && own_bytes(member);
}

static bool is_larger(const struct watchdog_process *member, const struct watchdog_process *than)
{
    return may_end(member) != may_end(than) ? may_end(member)
                                            : is_more(own_bytes(member), own_bytes(than));
}

/* Add an amount, less the driver's own share. */
static void add_bytes(uint64_t *sum, uint64_t bytes, uint64_t overhead_bytes)
{
    uint64_t counted = bytes > overhead_bytes ? bytes - overhead_bytes : 0;
    if (__builtin_add_overflow(*sum, counted, sum))
        *sum = UINT64_MAX;
}

/* Add a member's usage; an unknown amount does not count against the limit. */
static void add_use(struct watchdog_partition *partition, const struct watchdog_process *member)
{
    if (member->bytes != GPU_BYTES_UNKNOWN) {
        add_bytes(&partition->used_bytes, member->bytes, member->overhead_bytes);
        add_bytes(&partition->own_bytes, own_bytes(member), member->overhead_bytes);
    }
    if (!partition->largest || is_larger(member, partition->largest))
        partition->largest = member;
}

static void add_unlimited(struct check *check, const struct watchdog_process *process,
                          const struct watchdog_partition *partition)
{
    const bool adopts = check->watchdog->policy->adopt == POLICY_ADOPT_ON;
    merge(check, (struct violation){.kind = VIOLATION_UNLIMITED,
                                    .partition_id = partition->id,
                                    .pid = process->pid,
                                    .start = process->start,
                                    .uid = process->uid,
                                    .owner_uid = partition->uid,
                                    .device = process->device,
                                    .bytes = process->bytes,
                                    .charges = process->charges,
                                    .may_act = process->uid && !adopts && !process->charges});
}

/* Find unmanaged processes, each once, and unlimited ones, and add up the usage of partitions. */
static void find_processes(struct check *check)
{
    const struct watchdog_sample *sample = check->sample;
    for (size_t i = 0, next; i < sample->process_count; i = next) {
        const struct watchdog_process *first = &sample->processes[i], *outside = NULL;
        for (next = i; next < sample->process_count; next++) {
            const struct watchdog_process *process = &sample->processes[next];
            if (watchdog_compare_processes(first, process))
                break;
            struct watchdog_partition *partition =
                watchdog_find_partition(sample, process->partition_id, process->device);
            if (!counts(process) || (partition && partition->ending))
                continue;
            const bool inside = partition && partition->device == process->device;
            if (inside && process->unlimited)
                add_unlimited(check, process, partition);
            if (inside)
                add_use(partition, process);
            else if (!outside || is_more(own_bytes(process), own_bytes(outside)))
                outside = process;
        }
        if (outside && sample->complete)
            merge(check, (struct violation){.pid = outside->pid,
                                            .start = outside->start,
                                            .uid = outside->uid,
                                            .owner_uid = outside->uid,
                                            .device = outside->device,
                                            .bytes = outside->bytes,
                                            .shared = outside->shared_bytes != 0,
                                            .may_act = outside->uid && own_bytes(outside)});
    }
}

static void find_over_limit(struct check *check)
{
    for (size_t i = 0; i < check->sample->partition_count; i++) {
        const struct watchdog_partition *partition = &check->sample->partitions[i];
        if (partition->used_bytes <= partition->limit_bytes)
            continue;
        const struct watchdog_process *largest = partition->largest;
        merge(check, (struct violation){.kind = VIOLATION_OVER_LIMIT,
                                        .partition_id = partition->id,
                                        .pid = largest->pid,
                                        .start = largest->start,
                                        .uid = largest->uid,
                                        .owner_uid = partition->uid,
                                        .device = partition->device,
                                        .bytes = partition->used_bytes,
                                        .limit_bytes = partition->limit_bytes,
                                        .shared = partition->own_bytes != partition->used_bytes,
                                        .may_act = may_end(largest) &&
                                                   partition->own_bytes > partition->limit_bytes});
    }
}

/* -- steps --------------------------------------------------------------------------- */

/* `member` is the process to warn; NULL: the one of the violation. */
static void act(struct check *check, const struct violation *violation,
                const struct watchdog_process *member, bool note)
{
    struct watchdog_action action = {.pid = member ? member->pid : violation->pid,
                                     .start = member ? member->start : violation->start,
                                     .uid = member ? member->uid : violation->uid,
                                     .owner_uid = violation->owner_uid,
                                     .device = violation->device,
                                     .partition_id = violation->partition_id,
                                     .note = note};
    if (violation->stage >= VIOLATION_TERM)
        action.signo = violation->stage == VIOLATION_TERM ? SIGTERM : SIGKILL;
    watchdog_describe(violation, check->watchdog->policy, check->now_ns, &action);
    check->actions++;
    check->fn(check->context, &action);
}

/* Warn the unmanaged process, or every member that uses the device. */
static void warn(struct check *check, const struct violation *violation)
{
    bool note = true;
    if (violation->kind != VIOLATION_OVER_LIMIT) {
        act(check, violation, NULL, true);
        return;
    }
    for (size_t i = 0; i < check->sample->process_count; i++) {
        const struct watchdog_process *process = &check->sample->processes[i];
        if (!process->uid || !is_using(process, violation))
            continue;
        act(check, violation, process, note);
        note = false;
    }
}

/* Return whether the sample says nothing about violations of this kind. */
static bool is_left_out(const struct check *check, const struct violation *violation)
{
    return !check->sample->complete && violation->kind != VIOLATION_UNLIMITED;
}

static bool is_due(const struct violation *violation, const struct policy *policy, int64_t now_ns)
{
    return violation->seen && !violation->blind && watchdog_due_ns(violation, policy) <= now_ns;
}

static void take_step(struct check *check, struct violation *violation)
{
    struct watchdog_counts *counted = &check->watchdog->counts;
    violation->stage++;
    violation->step_ns = check->now_ns;
    if (violation->stage == VIOLATION_REPORTED) {
        counted->reported++;
        act(check, violation, NULL, true);
    } else if (violation->stage == VIOLATION_WARNED) {
        counted->warned++;
        warn(check, violation);
    } else {
        ++*(violation->stage == VIOLATION_TERM ? &counted->ended : &counted->killed);
        act(check, violation, NULL, true);
    }
}

/* -- external functions ------------------------------------------------------------------ */

/* Sort the known violations by key, before merging those of the sample. */
static void begin(struct check *check)
{
    struct watchdog *watchdog = check->watchdog;
    qsort(watchdog->violations, watchdog->count, sizeof(*watchdog->violations), compare_keys);
    check->known_count = watchdog->count;
    for (size_t i = 0; i < watchdog->count; i++) {
        struct violation *violation = &watchdog->violations[i];
        if (is_left_out(check, violation))
            continue;
        violation->blind = !is_known_device(check->sample, violation->device);
        violation->seen = violation->seen && violation->blind;
    }
}

static void drop_old(const struct check *check)
{
    struct watchdog *watchdog = check->watchdog;
    size_t kept = 0;
    for (size_t i = 0; i < watchdog->count; i++) {
        const struct violation *violation = &watchdog->violations[i];
        if (violation->seen || violation->blind || is_left_out(check, violation) ||
            check->now_ns - violation->seen_ns < watchdog->policy->watchdog_grace_ns)
            watchdog->violations[kept++] = *violation;
    }
    watchdog->count = kept;
}

int watchdog_check(struct watchdog *watchdog, int64_t now_ns, struct watchdog_sample *sample,
                   watchdog_action_fn *fn, void *context)
{
    struct check check = {
        .watchdog = watchdog, .sample = sample, .now_ns = now_ns, .fn = fn, .context = context};
    int r = array_reserve(watchdog->violations, watchdog->capacity,
                          watchdog->count + sample->process_count + sample->partition_count + 1);
    if (r)
        return r;
    watchdog_sort(sample);
    begin(&check);
    find_processes(&check);
    if (sample->complete)
        find_over_limit(&check);
    drop_old(&check);
    qsort(watchdog->violations, watchdog->count, sizeof(*watchdog->violations), compare_ages);
    for (size_t i = 0; i < watchdog->count && check.actions < WATCHDOG_ACTIONS_MAX; i++)
        if (!is_left_out(&check, &watchdog->violations[i]) &&
            is_due(&watchdog->violations[i], watchdog->policy, now_ns))
            take_step(&check, &watchdog->violations[i]);
    return 0;
}

void watchdog_forget(struct watchdog *watchdog)
{
    free(watchdog->violations);
    watchdog->violations = NULL;
    watchdog->count = watchdog->capacity = 0;
}

int64_t watchdog_next_ns(const struct watchdog *watchdog)
{
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < watchdog->count; i++) {
        const struct violation *violation = &watchdog->violations[i];
        int64_t due_ns = watchdog_due_ns(violation, watchdog->policy);
        if (violation->seen && !violation->blind && due_ns < next_ns)
            next_ns = due_ns;
    }
    return next_ns;
}

void watchdog_count(const struct watchdog *watchdog, struct watchdog_counts *ret_counts)
{
    *ret_counts = watchdog->counts;
    for (size_t i = 0; i < watchdog->count; i++) {
        const struct violation *violation = &watchdog->violations[i];
        ret_counts->unmanaged += violation->seen && violation->kind == VIOLATION_UNMANAGED;
        ret_counts->over_limit += violation->seen && violation->kind == VIOLATION_OVER_LIMIT;
        ret_counts->unlimited += violation->seen && violation->kind == VIOLATION_UNLIMITED;
    }
}
