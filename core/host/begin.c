/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start the host thread: open its parts and find the processes that were in partitions before the
 * worker started.
 */
#include "internal.h"

#include "core/base/boot_id.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/shortage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What to do with partitions once all of them have been found. */
struct traces {
    struct host *host;
    struct allocations frozen; /* to thaw: a daemon was killed while sending a signal */
    struct allocations stale;  /* to forget: ended, without members */
    int r;                     /* -ENOMEM: some could not be noted */
};

static int compare_id(const void *id, const void *entry)
{
    const uint64_t *a = id, *b = &((const struct host_partition *)entry)->partition.id;
    return *a < *b ? -1 : *a > *b;
}

/* Handle members or traces of partition `id`. */
static void find_trace(void *context, uint64_t id, uint32_t members, bool frozen)
{
    struct traces *traces = context;
    struct host *host = traces->host;
    const bool suspended = suspend_has(&host->suspensions, id);
    if (suspended && members)
        suspend_found(&host->suspensions, id, frozen);
    int r = frozen && !suspended ? allocations_add(&traces->frozen, id) : 0;
    traces->r = r ? r : traces->r;
    if (allocations_find(&host->allocations, id)) {
        r = allocations_add(&host->occupied, id);
        traces->r = r ? r : traces->r;
        return;
    }
    const struct host_partition *ended =
        host->start.ended_count ? bsearch(&id, host->start.ended, host->start.ended_count,
                                          sizeof(*host->start.ended), compare_id)
                                : NULL;
    if (ended)
        r = terminate_add(&host->termination, host->now_ns, &ended->partition, ended->account);
    else if (members)
        log_say("The programs of p%" PRIu64 " are left as they are: it ended long ago, or is newer "
                "than a restored backup.",
                id);
    else
        r = allocations_add(&traces->stale, id);
    traces->r = r ? r : traces->r;
}

static void set_accounts(struct host *host, const struct host_partition *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        proctrack_account(host->proctrack, partitions[i].partition.id, partitions[i].account);
}

/* 0, or -ENOMEM if some could not be noted: their programs would never end. */
static int find_traces(struct host *host)
{
    struct traces traces = {.host = host};
    const struct allocation *found;
    set_accounts(host, host->start.live, host->start.live_count);
    set_accounts(host, host->start.ended, host->start.ended_count);
    int r = proctrack_each(host->proctrack, find_trace, &traces);
    while ((found = allocations_after(&traces.frozen, 0))) {
        proctrack_freeze(host->proctrack, found->id, false);
        allocations_drop(&traces.frozen, found->id);
    }
    while ((found = allocations_after(&traces.stale, 0))) {
        proctrack_forget(host->proctrack, found->id);
        allocations_drop(&traces.stale, found->id);
    }
    if (r < 0)
        log_say("Cannot list the programs that were in partitions: %s.", strerror(-r));
    return r == -ENOMEM ? r : traces.r;
}

static int begin_telemetry(struct host *host)
{
    const struct owners_start owners = {.devices = host->start.devices,
                                        .device_count = host->start.device_count,
                                        .proctrack = host->proctrack,
                                        .state_dir = host->start.state_dir,
                                        .note = host_note_device,
                                        .context = host};
    int r = owners_new(&owners, &host->owners);
    const struct telemetry_start telemetry = {.devices = host->start.devices,
                                              .device_count = host->start.device_count,
                                              .proctrack = host->proctrack,
                                              .owners = host->owners,
                                              .allocations = &host->allocations,
                                              .bookings = host->start.bookings,
                                              .usage = host_report_usage,
                                              .context = host};
    return r ? r : telemetry_new(&telemetry, &host->telemetry);
}

static bool may_kill(void *context, const struct partition *partition, int64_t now_ns)
{
    struct host *host = context;
    bool may = true;
    for (uint32_t i = 0; i < partition->share_count; i++)
        may &= modes_may_kill(host->modes, partition->shares[i].device, partition->id, now_ns);
    return may;
}

static int begin_modes(struct host *host)
{
    const struct modes_start start = {.devices = host->start.devices,
                                      .device_count = host->start.device_count,
                                      .root = host->start.sharing_root,
                                      .proctrack = host->proctrack,
                                      .note = host_note_device,
                                      .context = host};
    int r = modes_new(&start, &host->modes);
    for (uint32_t i = 0; !r && host->start.modes && i < start.device_count; i++)
        modes_set(host->modes, i, &host->start.modes[i]);
    free(host->start.modes);
    host->start.modes = NULL;
    return r;
}

static int begin_access_and_police(struct host *host)
{
    const struct access_start access = {.devices = host->start.devices,
                                        .device_count = host->start.device_count,
                                        .state_dir = host->start.state_dir,
                                        .allocations = &host->allocations,
                                        .note = host_note_device,
                                        .context = host};
    const struct police_start police = {.policy = &host->policy,
                                        .proctrack = host->proctrack,
                                        .allocations = &host->allocations,
                                        .termination = &host->termination,
                                        .devices = host->start.devices,
                                        .bookings = host->start.bookings,
                                        .cuda_limited = host->start.cuda_limited,
                                        .note = host_note_violation,
                                        .status = host_report_status,
                                        .context = host};
    int r = access_new(&access, &host->access);
    return r ? r : police_new(&police, &host->police);
}

/* The file "tracker" of the state directory: the boot, and how programs were tracked last. It needs
 * no sync, because it is for this boot. */
#define TRACKER_MAX 64

/* Return whether programs were tracked in another way before, in this boot: *before. */
static bool was_other(const struct host *host, const char *word, char before[static TRACKER_MAX])
{
    char boot[BOOT_ID_MAX], text[TRACKER_MAX], now[TRACKER_MAX];
    const char *state_dir = host->start.state_dir;
    if (!state_dir || boot_id_read(boot))
        return false;
    const size_t length = (size_t)snprintf(now, sizeof(now), "%s %s\n", boot, word);
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is = dir >= 0 && fd_read_text(dir, "tracker", text, sizeof(text)) > 0 &&
              sscanf(text, "%*s %63s", before) == 1 && strncmp(text, boot, strlen(boot)) == 0 &&
              strcmp(before, word) != 0;
    int fd = dir < 0
                 ? -1
                 : openat(dir, "tracker",
                          O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, now, length) != (ssize_t)length)
        log_say("Cannot write tracker in the state directory: %s.", strerror(errno));
    fd_close(fd);
    fd_close(dir);
    return is;
}

/* An event whenever a daemon that could use cgroups does without, or does not know all members. */
static void note_tracking(struct host *host, const struct proctrack_options *options,
                          const struct message *message)
{
    const char *word = proctrack_word(host->proctrack);
    char before[TRACKER_MAX], details[128];
    const bool other = !host->broken && was_other(host, word, before) &&
                       host->start.live_count + host->start.ended_count > 0;
    if (other) {
        log_say("Programs were tracked by %s before and are by %s now: those that were in "
                "partitions are not known.",
                before, word);
        snprintf(details, sizeof(details), "members=incomplete before=%s", before);
    }
    if (host->broken)
        host_note_device(host, ENGINE_DEVICE_ANY, "process-tracking", "mode=none");
    else if (other)
        host_note_device(host, ENGINE_DEVICE_ANY, "process-tracking", details);
    else if (*message->text)
        host_note_device(host, ENGINE_DEVICE_ANY, "process-tracking", "members=incomplete");
    if (!host->broken && geteuid() == 0 && strcmp(options->mode, "process-tree") != 0 &&
        strcmp(word, "cgroup") != 0)
        host_note_device(host, ENGINE_DEVICE_ANY, "process-tracking", "mode=process-tree");
}

/* Never fail for good: without a tracker programs cannot join or be ended, but everything else is
 * served. */
static int open_proctrack(struct host *host, const struct proctrack_options *options)
{
    struct proctrack_options second = *options;
    struct message message = {""}, why = {""};
    int r = proctrack_open(options, &host->proctrack, &message);
    if (shortage_is(r))
        return r; /* the next worker tries again: another tracker would forget all members */
    if (r && strcmp(options->mode, "cgroup") == 0) { /* no longer works */
        why = message;
        second.mode = "process-tree";
        r = proctrack_open(&second, &host->proctrack, &message);
    } else if (!r && *proctrack_why(host->proctrack)) {
        snprintf(why.text, sizeof(why.text), "%s", proctrack_why(host->proctrack));
    } else if (!r && !strcmp(options->mode, "process-tree")) {
        snprintf(why.text, sizeof(why.text), "--process-tracking process-tree was asked for.");
    }
    host->broken = r;
    second.mode = "fake"; /* has no processes, and refuses none of our calls */
    if (r)
        r = proctrack_open(&second, &host->proctrack, &why);
    if (*message.text)
        log_say("Process tracking: %s", message.text);
    snprintf(host->why, sizeof(host->why), "%s", *message.text ? message.text : why.text);
    if (!r)
        note_tracking(host, options, &message);
    return r;
}

static int begin_live(struct host *host, const struct host_partition *live)
{
    int r = allocations_put(&host->allocations, &live->partition, live->account);
    if (!r && live->partition.suspend_stage != SUSPEND_NONE)
        r = host_restore_suspended(host, &live->partition, live->account);
    for (uint32_t i = 0; !r && live->guests && i < live->guests->count; i++)
        r = allocations_share(&host->allocations, live->partition.id, live->guests->uid[i], true);
    free(live->guests);
    return r;
}

/* Root fills what it likes, and what has ended is bounded in any case. */
static bool owns(void *context, uint64_t id, uint32_t account)
{
    const struct host *host = context;
    const struct allocation *allocation = allocations_find(&host->allocations, id);
    return !allocation || !account || allocation->account == account;
}

int host_begin(struct host *host)
{
    struct proctrack_options options = {.instance = host->start.instance,
                                        .state_dir = host->start.state_dir,
                                        .mode = host->start.proctrack,
                                        .supervisor = getppid(),
                                        .owns = owns,
                                        .owns_context = host};
    host->state = calloc(1, host_state_bytes(host));
    host->next_state = calloc(1, host_state_bytes(host));
    int r = host->state && host->next_state ? open_proctrack(host, &options) : -ENOMEM;
    if (r)
        return r;
    host->termination = (struct termination){
        .proctrack = host->proctrack, .may_kill = may_kill, .note = host_note, .context = host};
    r = begin_modes(host);
    if (!r)
        r = begin_telemetry(host);
    if (!r)
        r = begin_access_and_police(host);
    if (r)
        return r;
    host->scans = strcmp(proctrack_word(host->proctrack), "process-tree") == 0;
    host->now_ns = clock_boottime_ns();
    host_begin_suspending(host);
    for (size_t i = 0; i < host->start.live_count && !r; i++)
        r = begin_live(host, &host->start.live[i]);
    if (!r)
        r = find_traces(host);
    if (!r)
        suspend_begin(&host->suspensions, host->now_ns);
    for (size_t i = 0; i < host->start.live_count && !r; i++)
        if (host->start.live[i].settles && !host->broken) /* then no members are known */
            host_settle(host, host->start.live[i].partition.id);
    free(host->start.live);
    free(host->start.ended);
    host->start.live = host->start.ended = NULL;
    return r;
}
