/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a partition that is suspended; see suspend_members.h. */
#include "suspend_members.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/pidfd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for them in the machine's memory: a tenth more than they had. */
#define HOST_TENTHS 11

static struct suspend_member *find(const struct suspension *suspension, int32_t pid)
{
    for (size_t i = 0; i < suspension->member_count; i++)
        if (suspension->members[i].pid == pid)
            return &suspension->members[i];
    return NULL;
}

struct listing {
    struct suspension *suspension;
    int r; /* 0 or -ENOMEM */
};

static void add_member(void *context, pid_t pid)
{
    struct listing *listing = context;
    struct suspension *suspension = listing->suspension;
    struct suspend_member *member = find(suspension, pid);
    if (listing->r)
        return;
    if (!member && suspension->member_count >= CHECKPOINT_PROCESS_MAX) {
        suspension->crowded = true;
        return;
    }
    if (!member && array_reserve(suspension->members, suspension->member_capacity,
                                 suspension->member_count + 1)) {
        listing->r = -ENOMEM;
        return;
    }
    if (!member) {
        member = &suspension->members[suspension->member_count++];
        *member = (struct suspend_member){.pid = pid, .state = CHECKPOINT_NONE};
    }
    member->here = true;
}

int suspend_members_list(const struct suspensions *suspensions, struct suspension *suspension)
{
    struct listing listing = {.suspension = suspension};
    size_t kept = 0;
    suspension->crowded = false;
    for (size_t i = 0; i < suspension->member_count; i++)
        suspension->members[i].here = false;
    int r = proctrack_members(suspensions->start.proctrack, suspension->partition.id, add_member,
                              &listing);
    if (r < 0 || listing.r)
        return r < 0 ? r : listing.r;
    int unasked = 0;
    for (size_t i = 0; i < suspension->member_count; i++) {
        if (!suspension->members[i].here)
            continue;
        unasked += !suspension->members[i].asked;
        suspension->members[kept++] = suspension->members[i];
    }
    suspension->member_count = kept;
    return unasked;
}

uint32_t suspend_members_pids(const struct suspension *suspension, bool unasked, unsigned states,
                              int32_t *pids)
{
    uint32_t count = 0;
    for (size_t i = 0; i < suspension->member_count && count < CHECKPOINT_PROCESS_MAX; i++) {
        const struct suspend_member *member = &suspension->members[i];
        if (unasked ? !member->asked : (states & SUSPEND_IN(member->state)) != 0)
            pids[count++] = member->pid;
    }
    return count;
}

void suspend_members_take(struct suspension *suspension, const struct checkpoint_answer *answer)
{
    for (uint32_t i = 0; i < answer->count; i++) {
        struct suspend_member *member = find(suspension, answer->process[i].pid);
        if (!member)
            continue;
        member->asked = true;
        member->state = answer->process[i].state;
        if (answer->process[i].bytes)
            member->bytes = answer->process[i].bytes;
    }
}

const struct checkpoint_process *suspend_members_done(const struct suspensions *suspensions,
                                                      struct suspension *suspension,
                                                      const struct checkpoint_answer *answer,
                                                      uint32_t state)
{
    const struct checkpoint_process *first = NULL;
    suspend_members_list(suspensions, suspension);
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct checkpoint_process *process = &answer->process[i];
        struct suspend_member *member = find(suspension, process->pid);
        if (member && process->result == CHECKPOINT_DONE)
            member->state = state;
        else if (member && !first)
            first = process;
    }
    return first;
}

uint64_t suspend_members_bytes(const struct suspension *suspension, unsigned states,
                               uint32_t *ret_count)
{
    uint64_t bytes = 0;
    *ret_count = 0;
    for (size_t i = 0; i < suspension->member_count; i++) {
        const struct suspend_member *member = &suspension->members[i];
        if (!(states & SUSPEND_IN(member->state)))
            continue;
        bytes += member->bytes;
        *ret_count += member->bytes > 0 || member->state == CHECKPOINT_SAVED;
    }
    return bytes;
}

/* -- whether they can be suspended ---------------------------------------------------------- */

static bool refuse(struct suspension *suspension, const char *why)
{
    snprintf(suspension->why, sizeof(suspension->why), "%.*s", SUSPEND_WHY_MAX - 1, why);
    return false;
}

static bool refuse_process(struct suspension *suspension, int32_t pid, const char *why)
{
    snprintf(suspension->why, sizeof(suspension->why), "Process %d %s.", (int)pid, why);
    return false;
}

static bool check_member(const struct suspensions *suspensions, struct suspension *suspension,
                         const struct suspend_member *member)
{
    const uint64_t id = suspension->partition.id;
    const unsigned marks = suspensions->start.bookings
                               ? bookings_marks(suspensions->start.bookings, id, member->pid)
                               : 0;
    struct proctrack_set set = {{0}};
    if (marks)
        return refuse_process(suspension, member->pid,
                              marks & BOOKINGS_IPC       ? "shares memory with others (ipc)"
                              : marks & BOOKINGS_MANAGED ? "uses managed memory"
                                                         : "uses multicast memory");
    proctrack_find(suspensions->start.proctrack, member->pid, &set);
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set.ids[i]; i++)
        if (set.ids[i] != id)
            return refuse_process(suspension, member->pid, "is in another partition, too");
    if (member->bytes == 0)
        return true;
    suspension->doubted = member->pid; /* what ends has closed its files, and does not answer */
    if (member->state == CHECKPOINT_NONE)
        return refuse_process(suspension, member->pid, "uses the device without CUDA");
    /* One that is locked was looked at before: its files went with the daemon that was here. */
    if (member->state == CHECKPOINT_RUNNING && suspensions->start.bookings &&
        !bookings_has(suspensions->start.bookings, id, member->pid))
        return refuse_process(suspension, member->pid, "books no memory (unlimited)");
    suspension->doubted = 0;
    return true;
}

/* What other partitions of the account have in the machine's memory. */
static uint64_t away_bytes(const struct suspensions *suspensions,
                           const struct suspension *suspension)
{
    uint64_t bytes = 0;
    for (const struct avl_node *node = avl_first(&suspensions->by_id); node;
         node = avl_after(&suspensions->by_id, node)) {
        const struct suspension *other = avl_entry_const(node, struct suspension, by_id);
        if (other != suspension && other->account == suspension->account)
            bytes += other->bytes;
    }
    return bytes;
}

/* What others that leave will still take of the machine's memory, or have taken just now. */
static uint64_t moving_bytes(const struct suspensions *suspensions,
                             const struct suspension *suspension)
{
    uint64_t bytes = 0;
    for (const struct avl_node *node = avl_first(&suspensions->by_id); node;
         node = avl_after(&suspensions->by_id, node)) {
        const struct suspension *other = avl_entry_const(node, struct suspension, by_id);
        if (other != suspension && other->running && !other->back && !other->failing &&
            other->step < STEP_FREEZE)
            bytes += other->bytes;
    }
    return bytes;
}

static bool check_memory(const struct suspensions *suspensions, struct suspension *suspension,
                         const struct checkpoint_answer *answer)
{
    uint32_t count;
    uint64_t bytes = suspend_members_bytes(suspension, SUSPEND_ANY, &count);
    const uint64_t machine = suspensions->start.machine_bytes;
    const uint64_t ppm = suspensions->start.policy->max_suspended_ppm;
    uint64_t most = machine / 1000000 * ppm + machine % 1000000 * ppm / 1000000;
    uint64_t away = away_bytes(suspensions, suspension);
    uint64_t moving = moving_bytes(suspensions, suspension);
    if (bytes / 10 * HOST_TENTHS > answer->host_bytes ||
        (bytes + moving) / 10 * HOST_TENTHS > answer->machine_bytes)
        return refuse(suspension, "The machine, or a cgroup, has too little memory left for it.");
    if (away > most || bytes > most - away)
        return refuse(suspension, "Its owner would have more suspended than max_suspended allows.");
    if (bytes > suspension->bytes) /* so that others see it */
        suspension->bytes = bytes;
    return true;
}

bool suspend_members_check(const struct suspensions *suspensions, struct suspension *suspension,
                           const struct checkpoint_answer *answer)
{
    suspension->doubted = 0;
    if (answer->result)
        return refuse(suspension, answer->note[0] ? answer->note : "The driver cannot do it.");
    if (!answer->known)
        return refuse(suspension, "The driver does not say what its processes have.");
    if (answer->split)
        return refuse(suspension, "Its device is a part of another one (MIG).");
    if (suspension->crowded)
        return refuse(suspension, "It has too many processes.");
    if (proctrack_claims(suspensions->start.proctrack, suspension->partition.id, NULL, NULL) > 0)
        return refuse(suspension, "Cgroups of others belong to it.");
    for (size_t i = 0; i < suspension->member_count; i++) {
        const struct suspend_member *member = &suspension->members[i];
        if (member->asked && member->state == CHECKPOINT_FAILED)
            return refuse_process(suspension, member->pid, "failed in an earlier checkpoint");
        if (!check_member(suspensions, suspension, member))
            return false;
    }
    return check_memory(suspensions, suspension, answer);
}

bool suspend_members_weigh(const struct suspensions *suspensions, struct suspension *suspension,
                           const struct checkpoint_answer *answer)
{
    if (answer->result || !answer->known)
        return refuse(suspension, "The driver does not say what its processes have.");
    for (uint32_t i = 0; i < answer->count; i++) {
        struct suspend_member *member = find(suspension, answer->process[i].pid);
        if (member && answer->process[i].bytes)
            member->bytes = answer->process[i].bytes;
    }
    return check_memory(suspensions, suspension, answer);
}

void suspend_members_kill(const struct suspensions *suspensions,
                          const struct suspension *suspension, uint32_t state)
{
    for (size_t i = 0; i < suspension->member_count; i++) {
        struct proctrack_set set = {{0}};
        if (suspension->members[i].state != state)
            continue;
        /* The pidfd comes first: the signal cannot reach another process with this pid. */
        int pidfd = pidfd_new(suspension->members[i].pid);
        proctrack_find(suspensions->start.proctrack, suspension->members[i].pid, &set);
        if (pidfd >= 0 && proctrack_set_has(&set, suspension->partition.id))
            pidfd_send(pidfd, SIGKILL);
        fd_close(pidfd);
    }
}

void suspend_members_doubt(struct suspension *suspension)
{
    for (size_t i = 0; i < suspension->member_count; i++)
        if (suspension->members[i].state != CHECKPOINT_LOCKED &&
            suspension->members[i].state != CHECKPOINT_SAVED)
            suspension->members[i].asked = false;
}
