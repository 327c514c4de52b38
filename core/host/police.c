/* SPDX-License-Identifier: Apache-2.0 */
/* Samples for the watchdog, and doing what it says; see watching.h. */
#include "police.h"

#include "core/base/log.h"
#include "core/gpu/vendor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SOON_NS INT64_C(1000000000) /* a step that is due waits no less */

#define TTY_MAJOR       4
#define PTS_MAJOR_FIRST 136
#define PTS_MAJOR_LAST  143

struct police {
    struct police_start start;
    struct police_policy policy;
    struct watchdog *watchdog;
    int64_t looked_ns; /* 0: never */
    struct watchdog_process processes[GPU_USAGE_PROCESS_MAX];
    struct watchdog_partition partitions[GPU_USAGE_PROCESS_MAX];
    size_t partition_count;
    bool known[GPU_DEVICE_MAX];
};

int police_new(const struct police_start *start, struct police **ret_police)
{
    struct police *police = calloc(1, sizeof(*police));
    if (!police)
        return -ENOMEM;
    police->start = *start;
    int r = watchdog_new(&police->watchdog);
    if (r) {
        free(police);
        return r;
    }
    *ret_police = police;
    return 0;
}

struct police *police_free(struct police *police)
{
    if (police)
        watchdog_free(police->watchdog);
    free(police);
    return NULL;
}

/* -- a sample ------------------------------------------------------------------------ */

static int compare_ids(const void *one, const void *other)
{
    uint64_t a = ((const struct watchdog_partition *)one)->id;
    uint64_t b = ((const struct watchdog_partition *)other)->id;
    return a < b ? -1 : a > b;
}

/* Adds the partition that a process is in, unless it ended and is done with. */
static void add_partition(struct police *police, uint64_t id)
{
    const struct allocation *allocation = allocations_find(police->start.allocations, id);
    if (!id || (!allocation && !terminate_ends(police->start.termination, id)))
        return;
    struct watchdog_partition *partition = &police->partitions[police->partition_count++];
    *partition = (struct watchdog_partition){.id = id, .ending = !allocation};
    if (allocation) {
        partition->uid = allocation->uid;
        partition->device = allocation->device;
        partition->limit_bytes = allocation->memory_bytes;
    }
}

/* Each partition once. */
static void sort_partitions(struct police *police)
{
    size_t kept = 0;
    qsort(police->partitions, police->partition_count, sizeof(police->partitions[0]), compare_ids);
    for (size_t i = 0; i < police->partition_count; i++)
        if (!kept || police->partitions[kept - 1].id != police->partitions[i].id)
            police->partitions[kept++] = police->partitions[i];
    police->partition_count = kept;
}

static void add_process(struct police *police, const struct gpu_usage *usage,
                        const struct gpu_usage_process *used, struct watchdog_process *row)
{
    struct procfs_process process;
    *row = (struct watchdog_process){
        .pid = used->pid, .device = used->device, .bytes = used->memory_bytes};
    if (proctrack_look(police->start.proctrack, used->pid, &process))
        return; /* it has gone: its row does not count */
    row->uid = process.uid;
    row->start = process.start;
    row->partition_id = proctrack_partition_of(police->start.proctrack, used->pid);
    const struct gpu_vendor *vendor = gpu_vendor_find(usage->device[used->device].backend);
    row->slack_bytes = vendor ? vendor->overhead_bytes : 0;
    add_partition(police, row->partition_id);
}

/* -- doing --------------------------------------------------------------------------- */

/* Whether what a process has open is called like a terminal. Looking at the thing itself
 * would wait for as long as a file server that hangs: who writes logs to one is no reason
 * for everybody's programs to run on. */
static bool is_called_terminal(const char *path)
{
    char name[64];
    ssize_t length = readlink(path, name, sizeof(name) - 1);
    if (length < 0)
        return false;
    name[length] = '\0';
    return !strncmp(name, "/dev/pts/", 9) || !strncmp(name, "/dev/tty", 8) ||
           !strcmp(name, "/dev/console");
}

/* The terminal of a process, as the process has it open: what is called /dev/pts/0 here
 * can be another one than there. -1: it has none. */
static int open_terminal(int32_t pid)
{
    char path[64];
    for (int fd = 2; fd >= 0; fd--) {
        struct stat st;
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
        if (!is_called_terminal(path) || stat(path, &st) || !S_ISCHR(st.st_mode))
            continue;
        unsigned kind = major(st.st_rdev);
        if (kind != TTY_MAJOR && (kind < PTS_MAJOR_FIRST || kind > PTS_MAJOR_LAST))
            continue;
        int terminal = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (terminal >= 0)
            return terminal;
    }
    return -1;
}

/* A line on the terminal of a process, if it has one; one that is stopped gets none. */
static void write_line(const struct watchdog_action *action)
{
    char line[WATCHDOG_MESSAGE_MAX + 32];
    int terminal = open_terminal(action->pid);
    if (terminal < 0)
        return;
    int length = snprintf(line, sizeof(line), "\r\nchronosfs: %s\r\n", action->message);
    if (write(terminal, line, (size_t)length) < 0) {
        /* Nobody reads there; events and status have it too. */
    }
    close(terminal);
}

/* The descriptor holds the process, so what is looked at is what gets the signal. */
static void send_signal(struct police *police, const struct watchdog_action *action)
{
    struct procfs_process process;
    int fd = (int)syscall(SYS_pidfd_open, action->pid, 0);
    if (fd < 0)
        return;
    if (!proctrack_look(police->start.proctrack, action->pid, &process) &&
        process.start == action->start &&
        syscall(SYS_pidfd_send_signal, fd, action->signo, NULL, 0) && errno != ESRCH)
        log_say("cannot end process %d, which uses gpu%u: %s", action->pid,
                (unsigned)action->device, strerror(errno));
    close(fd);
}

static void act(void *context, const struct watchdog_action *action)
{
    struct police *police = context;
    const struct police_start *start = &police->start;
    if (action->note)
        start->note(start->context, action->partition_id, action->device, action->word,
                    action->details);
    start->status(start->context, action->uid, action->message);
    if (action->step == WATCHDOG_DO_WARN)
        write_line(action);
    else if (action->step == WATCHDOG_DO_SIGNAL)
        send_signal(police, action);
}

/* -- from outside ----------------------------------------------------------------------- */

void police_set(struct police *police, const struct police_policy *policy)
{
    static const struct watchdog_sample nothing;
    police->policy = *policy;
    if (policy->mode != WATCHDOG_OFF)
        return;
    const struct watchdog_policy off = {.mode = WATCHDOG_OFF};
    watchdog_look(police->watchdog, 0, &off, &nothing, act, police);
}

int64_t police_next_ns(const struct police *police)
{
    if (police->policy.mode == WATCHDOG_OFF)
        return INT64_MAX;
    if (!police->looked_ns)
        return 0;
    int64_t next_ns = police->looked_ns + police->policy.interval_ns;
    int64_t step_ns = watchdog_next_ns(police->watchdog);
    if (step_ns < police->looked_ns + SOON_NS)
        step_ns = police->looked_ns + SOON_NS;
    return step_ns < next_ns ? step_ns : next_ns;
}

void police_look(struct police *police, int64_t now_ns, const struct gpu_usage *usage)
{
    if (police_next_ns(police) > now_ns)
        return;
    const struct watchdog_policy policy = {police->policy.mode, police->policy.grace_ns};
    police->looked_ns = now_ns;
    police->partition_count = 0;
    for (uint32_t i = 0; i < usage->process_count; i++)
        add_process(police, usage, &usage->process[i], &police->processes[i]);
    sort_partitions(police);
    for (uint32_t i = 0; i < usage->device_count; i++)
        police->known[i] = usage->device[i].known;
    const struct watchdog_sample sample = {.processes = police->processes,
                                           .process_count = usage->process_count,
                                           .partitions = police->partitions,
                                           .partition_count = police->partition_count,
                                           .device_known = police->known,
                                           .device_count = usage->device_count};
    if (watchdog_look(police->watchdog, now_ns, &policy, &sample, act, police))
        log_say("not enough memory for the watchdog: it looks again later");
}

void police_count(const struct police *police, struct watchdog_counts *ret_counts)
{
    watchdog_count(police->watchdog, ret_counts);
}
