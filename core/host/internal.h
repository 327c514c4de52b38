/* SPDX-License-Identifier: Apache-2.0 */
/* The state of the host thread, shared by the files of this room only; see host.h. */
#ifndef CHRONOS_HOST_INTERNAL_H
#define CHRONOS_HOST_INTERNAL_H

#include "access.h"
#include "allocations.h"
#include "host.h"
#include "leavers.h"
#include "modes.h"
#include "owners.h"
#include "police.h"
#include "suspend.h"
#include "telemetry.h"
#include "terminate.h"

#include "core/base/mailbox.h"
#include "core/proctrack/proctrack.h"

/* What is kept of a process that leaves, from one try to the next. */
struct leaving {
    struct proctrack_set set;      /* what it leaves */
    struct procfs_process process; /* noted as one that left; pid 0: not yet */
};

enum work_kind { WORK_JOIN, WORK_READ, WORK_EVENT, WORK_POLICY, WORK_MODE };

struct work_item {
    struct mail mail;
    enum work_kind kind;
    union {
        struct {
            struct host_join asked;
            struct host_result *answer; /* allocated in advance: the writer waits for it */
            char *cgroup;               /* of `asked`; owned */
            struct leaving leaving;
            int64_t since_ns; /* when it was tried first; 0: not yet */
        } join;
        struct {
            uint64_t id;
            int64_t asked_ns;
        } read;
        struct {
            enum event_kind kind;
            struct partition partition;
            uint32_t account, guest;
            struct guests guests; /* of one that starts */
        } event;
        struct policy policy;
        struct {
            uint32_t device;
            struct sharing_mode mode;
        } mode;
    };
};

struct work_list {
    struct mail *first, **last; /* `last` only while there is a first */
    size_t count;
};

static inline void work_list_add(struct work_list *list, struct work_item *item)
{
    item->mail.next = NULL;
    *(list->first ? list->last : &list->first) = &item->mail;
    list->last = &item->mail.next;
    list->count++;
}

static inline struct work_item *work_list_take(struct work_list *list)
{
    struct work_item *item = (struct work_item *)list->first;
    if (!item)
        return NULL;
    list->first = item->mail.next;
    list->count--;
    return item;
}

/* Used by the host thread only, except `thread`. */
struct host {
    struct host_start start;
    struct proctrack *proctrack;
    bool broken; /* no process tracking: no program can join */
    struct termination termination;
    struct suspensions suspensions;
    struct owners *owners;
    struct telemetry *telemetry;
    struct access *access;
    struct police *police;
    struct modes *modes;
    int64_t usage_wanted_ns;        /* a reader waits for a sample requested then or later */
    char why[256];                  /* see struct host_state */
    struct host_state *state;       /* as last reported */
    struct host_state *next_state;  /* room for the next */
    struct allocations allocations; /* of all live partitions */
    struct allocations occupied;    /* partitions that processes have joined; ids only */
    struct leavers leavers;         /* programs that are outside on purpose */
    uint64_t checked_id;            /* last one in `occupied` checked for processes */
    bool scans;                     /* members are found by periodic scans */
    int64_t scanned_ns;
    int64_t seen_ns; /* when the last scan for a reader began */
    struct {
        uint64_t id;
        int64_t at_ns;
    } members_read[256]; /* when the members of partitions were last read; by id */
    struct {
        uint64_t *ids;
        size_t count, capacity;
    } settling; /* partitions that a user was taken out of, each once */
    struct policy policy;
    int64_t now_ns;
    struct work_list work, reads; /* taken from the mailbox, to be done */
    struct work_list held;        /* joins that wait for a directory of the cgroup tree */
    int64_t held_ns;              /* when to try them again */
    struct mailbox_thread thread; /* work items in, results out */
};

/* -- work.c: results -- */

/* There is no memory for something that must not be forgotten: log it, and end the worker. The next
 * one begins with what the state and process tracking say. */
_Noreturn void host_start_over(uint64_t id);

/* Allocate a zeroed result with room for a message. NULL when out of memory, after logging it. */
struct host_result *host_result_new(enum host_result_kind kind, size_t message_bytes);
/* Pass a result to the loop; drop NULL. */
void host_report(struct host *host, struct host_result *result);
/* Write a log line about the processes of a partition. Here and below `context` is the host. */
void host_note(void *context, const struct partition *partition, const char *word,
               const char *details);
/* Write a log line about a device (or ENGINE_DEVICE_ANY) and no user. */
void host_note_device(void *context, uint32_t device, const char *word, const char *details);
/* Write a log line about a step of the watchdog: what user `uid` does on a device, with partition
 * `id` (0: without). */
void host_note_violation(void *context, uint64_t id, uint32_t uid, uint32_t device,
                         const char *word, const char *details);
/* Set the message in a user's `status`. */
void host_report_status(void *context, uint32_t uid, const char *message);
/* Report the memory a partition uses now, and the additional time its device was busy. */
void host_report_usage(void *context, uint64_t id, uint64_t bytes, uint64_t busy_more_ns);
size_t host_state_bytes(const struct host *host);
/* Report the enforcement mechanisms if they changed since the last report. */
void host_report_state(struct host *host);

/* -- begin.c -- */

/* Open all parts and find the processes already in partitions. 0 or -errno. */
int host_begin(struct host *host);

/* -- adopt.c -- */

/* Let the programs that the drivers reported outside join the partitions of their users. */
void host_adopt(struct host *host, const struct gpu_usage *usage);

/* -- suspended.c -- */

/* Make ready for suspending. */
void host_begin_suspending(struct host *host);
/* Take up one that is on its way, or away, after a restart. 0 or -ENOMEM. */
int host_restore_suspended(struct host *host, const struct partition *partition, uint32_t account);
/* Handle an event that concerns suspending. */
void host_suspend_event(struct host *host, enum event_kind kind, const struct partition *partition,
                        uint32_t account);

/* -- join.c -- */

/* Execute the request, first tried at since_ns, and report the outcome in `answer`. False: nothing
 * was done or reported yet; call again. `leaving` is kept from call to call. */
bool host_do_join(struct host *host, const struct host_join *join, int64_t since_ns,
                  struct leaving *leaving, struct host_result *answer);
/* Find the partitions that a process is in once it has joined live partition `id`: it takes the
 * place of the one on its device. Those on other devices stay, and those whose programs are being
 * ended, because joining must not save a program from that. -E2BIG: too many; -EBUSY: one of them
 * is suspended. */
int host_set_after(struct host *host, uint64_t id, pid_t pid, struct proctrack_set *ret_set);
/* An unprivileged daemon can end only processes of its own user; others must not join. */
bool host_can_end(const struct procfs_process *process);
/* Report that its partition has ended. */
void host_refuse_join(struct host *host, const struct host_join *join, struct host_result *answer);

/* -- read.c -- */

/* Report the members and cgroups of a partition, unless a reading since asked_ns exists. */
void host_do_read(struct host *host, uint64_t id, int64_t asked_ns);
/* Report them in any case, because a user was taken out: soon, and once for all who are until then.
 * Users choose how many programs they have and how often they change who may use a partition. */
void host_settle(struct host *host, uint64_t id);
/* Report the members of the next partition that waits for it. */
void host_settle_next(struct host *host);

/* -- warn.c -- */

/* Send the signal that comes with a warning, and log it. */
void host_warn(struct host *host, const struct partition *partition);

#endif
