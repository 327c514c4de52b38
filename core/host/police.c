/* SPDX-License-Identifier: Apache-2.0 */
/* Build the watchdog's samples and carry out its actions; see police.h. */
#include "police.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/ns.h"
#include "core/base/pidfd.h"
#include "core/gpu/vendor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Minimum time between two checks. */
#define CHECK_MIN_NS NS_PER_SECOND

struct police {
    struct police_start start;
    struct watchdog watchdog;
    int64_t checked_ns; /* 0: never */
    struct watchdog_process processes[GPU_USAGE_PROCESS_MAX];
    struct watchdog_partition partitions[GPU_USAGE_PROCESS_MAX];
    size_t process_count, partition_count;
    bool known[GPU_DEVICE_MAX];
    uint64_t since; /* start of the daemon, in clock ticks; 0: not known */
};

int police_new(const struct police_start *start, struct police **ret_police)
{
    struct police *police = calloc(1, sizeof(*police));
    if (!police)
        return -ENOMEM;
    police->start = *start;
    police->watchdog.policy = start->policy;
    struct procfs_stat parent;
    int proc_fd = procfs_open(NULL);
    if (proc_fd >= 0 && !procfs_stat_read(proc_fd, getppid(), &parent))
        police->since = parent.start;
    fd_close(proc_fd);
    *ret_police = police;
    return 0;
}

/* -- samples ------------------------------------------------------------------------- */

/* Add the partition of a process on a device, unless it is on others, or has ended and nothing is
 * left to do. */
static void add_partition(struct police *police, uint64_t id, uint32_t device)
{
    const struct allocation *allocation = allocations_find(police->start.allocations, id);
    int share = allocation ? allocations_index(allocation, device) : -1;
    if (!id || (allocation ? share < 0 : !terminate_ends(police->start.termination, id)))
        return;
    struct watchdog_partition *partition = &police->partitions[police->partition_count++];
    *partition = (struct watchdog_partition){.id = id, .ending = !allocation};
    if (allocation) {
        partition->uid = allocation->uid;
        partition->device = device;
        partition->limit_bytes = allocation->shares[share].memory_bytes;
    }
}

/* Return the partition of a process that matters on this device: the one there, else one whose
 * programs are being ended, else any. */
static uint64_t partition_on(struct police *police, int32_t pid, uint32_t device)
{
    struct proctrack_set set;
    proctrack_find(police->start.proctrack, pid, &set);
    const struct allocation *there = allocations_on(police->start.allocations, &set, device);
    if (there)
        return there->id;
    for (size_t i = 0; i < PROCTRACK_SET_MAX && set.ids[i]; i++)
        if (terminate_ends(police->start.termination, set.ids[i]))
            return set.ids[i];
    return set.ids[0];
}

static uint64_t overhead_on(const struct gpu_usage *usage, uint32_t device)
{
    const struct gpu_vendor *vendor = gpu_vendor_find(usage->device[device].backend);
    return vendor ? vendor->overhead_bytes : 0;
}

/* Return whether a member uses its partition's device and does not charge what it allocates, though
 * programs there are given what does. One that has `charge` open may use what no call announces: it
 * is one of these only in a partition above its limit. */
static bool is_unlimited(const struct police *police, const struct gpu_usage *usage,
                         const struct gpu_usage_process *used, bool *ret_charges)
{
    const struct police_start *start = &police->start;
    struct proctrack_set set;
    if (!start->cuda_limited || !used->memory_bytes || !gpu_is_cuda(&start->devices[used->device]))
        return false;
    proctrack_find(start->proctrack, used->pid, &set);
    const struct allocation *there = allocations_on(start->allocations, &set, used->device);
    if (!there || procfs_is_exiting(used->pid))
        return false;
    const uint64_t key = allocations_key(there, used->device);
    *ret_charges = bookings_has(start->bookings, key, used->pid);
    return !*ret_charges ||
           bookings_is_over(start->bookings, key, used->pid, overhead_on(usage, used->device),
                            there->shares[allocations_index(there, used->device)].memory_bytes);
}

/* The server of NVIDIA's Multi-Process Service works for others; only root's is trusted. */
static bool is_mps_server(const struct procfs_process *process)
{
    static const char name[] = "nvidia-cuda-mps"; /* as much of it as comm has */
    char path[PROCFS_PATH_MAX], comm[32];
    return process->uid == 0 &&
           fd_read_text(procfs_at(process->pid, "comm", path), path, comm, sizeof(comm)) > 0 &&
           !strncmp(comm, name, sizeof(name) - 1);
}

static void add_process(struct police *police, const struct gpu_usage *usage,
                        const struct gpu_usage_process *used)
{
    struct watchdog_process *row = &police->processes[police->process_count++];
    struct procfs_process process;
    *row = (struct watchdog_process){.pid = used->pid,
                                     .device = used->device,
                                     .bytes = used->memory_bytes,
                                     .shared_bytes = used->shared_bytes};
    row->unlimited = is_unlimited(police, usage, used, &row->charges);
    if (proctrack_look(police->start.proctrack, used->pid, &process) || is_mps_server(&process))
        return; /* without a start, of a process that has ended, a row does not count */
    row->uid = process.uid;
    row->start = process.start;
    /* The end of the daemon before closed what older programs had open, and a program that
     * allocates nothing more does not open it again. */
    row->unlimited = row->unlimited && process.start >= police->since;
    row->partition_id = partition_on(police, used->pid, used->device);
    row->overhead_bytes = overhead_on(usage, used->device);
    add_partition(police, row->partition_id, used->device);
}

/* -- actions ------------------------------------------------------------------------- */

/* Open the pidfd before looking up the process: the signal cannot reach another process with this
 * pid. */
static void send_signal(struct police *police, const struct watchdog_action *action)
{
    struct procfs_process process;
    int pidfd = pidfd_new(action->pid);
    int r = pidfd < 0 ? pidfd : proctrack_look(police->start.proctrack, action->pid, &process);
    if (!r && process.start == action->start)
        r = pidfd_send(pidfd, action->signo);
    if (r && r != -ESRCH)
        log_say("Cannot end process %d, which uses gpu%u: %s.", action->pid,
                (unsigned)action->device, strerror(-r));
    fd_close(pidfd);
}

static void act(void *context, const struct watchdog_action *action)
{
    struct police *police = context;
    const struct police_start *start = &police->start;
    if (action->note)
        start->note(start->context, action->partition_id, action->owner_uid, action->device,
                    action->word, action->details);
    start->status(start->context, action->uid, action->message);
    if (action->signo)
        send_signal(police, action);
}

/* -- external functions ----------------------------------------------------------------- */

void police_policy_changed(struct police *police)
{
    if (police->start.policy->watchdog == POLICY_WATCHDOG_OFF)
        watchdog_forget(&police->watchdog);
}

int64_t police_next_ns(const struct police *police)
{
    if (police->start.policy->watchdog == POLICY_WATCHDOG_OFF &&
        police->start.policy->adopt == POLICY_ADOPT_OFF)
        return INT64_MAX;
    if (!police->checked_ns)
        return 0;
    int64_t next_ns = police->checked_ns + police->start.policy->watchdog_interval_ns;
    int64_t step_ns = watchdog_next_ns(&police->watchdog);
    if (step_ns < police->checked_ns + CHECK_MIN_NS)
        step_ns = police->checked_ns + CHECK_MIN_NS;
    return step_ns < next_ns ? step_ns : next_ns;
}

void police_check(struct police *police, int64_t now_ns, const struct gpu_usage *usage)
{
    const bool due = police_next_ns(police) <= now_ns;
    const bool complete = due && police->start.policy->watchdog != POLICY_WATCHDOG_OFF;
    bool charges;
    if (due)
        police->checked_ns = now_ns;
    police->process_count = police->partition_count = 0;
    for (uint32_t i = 0; i < usage->process_count; i++)
        if (complete || is_unlimited(police, usage, &usage->process[i], &charges))
            add_process(police, usage, &usage->process[i]);
    for (uint32_t i = 0; i < usage->device_count; i++)
        police->known[i] = usage->device[i].known;
    struct watchdog_sample sample = {.processes = police->processes,
                                     .process_count = police->process_count,
                                     .partitions = police->partitions,
                                     .partition_count = police->partition_count,
                                     .device_known = police->known,
                                     .device_count = usage->device_count,
                                     .complete = complete};
    if (watchdog_check(&police->watchdog, now_ns, &sample, act, police))
        log_say(
            "Out of memory: the watchdog cannot check; it tries again after watchdog_interval.");
}

void police_count(const struct police *police, struct watchdog_counts *ret_counts)
{
    watchdog_count(&police->watchdog, ret_counts);
}
