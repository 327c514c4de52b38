/* SPDX-License-Identifier: Apache-2.0 */
/* Keep devices in their sharing modes; see modes.h. */
#include "modes.h"

#include "core/base/child.h"
#include "core/base/fd.h"
#include "core/base/ns.h"
#include "core/base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOOK_NS  (2 * NS_PER_SECOND)  /* between two looks at what is running */
#define AGAIN_NS (10 * NS_PER_SECOND) /* after a failure */
#define BUSY_NS  (20 * NS_PER_MS)     /* between two looks at a child */
#define MOST_NS  (60 * NS_PER_SECOND) /* a child has so long */

/* What a child does for a device. */
struct task {
    struct child child;
    int64_t begun_ns; /* 0: there is none */
};

struct keeper {
    struct sharing_mode mode;
    struct sharing_report report, next;
    char directory[SHARING_PATH_MAX], pipe[SHARING_PATH_MAX + 8];
    struct sharing_device device;
    struct task keep, part;
    uint64_t parting; /* the partition whose processes `part` parts; 0: none */
    bool again;       /* the mode was set while a child was at work */
    bool missing;     /* its processes have been parted, and not asked about since */
    bool parted;      /* clients have gone because they were parted, since the last report */
    int64_t next_ns;
};

struct modes {
    struct modes_start start;
    struct keeper keepers[];
};

int modes_new(const struct modes_start *start, struct modes **ret_modes)
{
    struct modes *modes = calloc(1, sizeof(*modes) + start->device_count * sizeof(struct keeper));

    if (!modes)
        return -ENOMEM;
    modes->start = *start;
    for (uint32_t i = 0; i < start->device_count; i++) {
        struct keeper *keeper = &modes->keepers[i];

        if (!start->root ||
            !sharing_directory(start->root, start->devices[i].uuid, keeper->directory))
            keeper->directory[0] = '\0';
        keeper->device = (struct sharing_device){start->devices[i].uuid, keeper->directory};
        /* What a mode before has left; most devices have never had one. */
        keeper->next_ns =
            *keeper->directory && access(keeper->directory, F_OK) == 0 ? 0 : INT64_MAX;
        keeper->report.ready = true;
    }
    *ret_modes = modes;
    return 0;
}

void modes_set(struct modes *modes, uint32_t device, const struct sharing_mode *mode)
{
    struct keeper *keeper = &modes->keepers[device];

    if (device >= modes->start.device_count || !memcmp(mode, &keeper->mode, sizeof(*mode)))
        return;
    keeper->mode = *mode;
    keeper->report = (struct sharing_report){.ready = false};
    keeper->again = keeper->keep.begun_ns > 0;
    keeper->pipe[0] = '\0';
    if (mode->kind == SHARING_MPS && *keeper->directory)
        sharing_mps_pipe(keeper->directory, keeper->pipe, sizeof(keeper->pipe));
    keeper->next_ns = 0;
}

/* -- children -------------------------------------------------------------------------- */

static int do_keep(void *context, int socket)
{
    const struct keeper *keeper = context;
    struct sharing_report report;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the next worker's child is not to meet this one */
    sharing_keep(&keeper->device, &keeper->mode, &report);
    return write(socket, &report, sizeof(report)) == (ssize_t)sizeof(report) ? 0 : -EIO;
}

/* How often a process is asked to go, 50 ms apart. */
#define PART_TRIES 60

struct parting {
    const struct keeper *keeper;
    uint32_t count;
    int32_t pids[SHARING_CLIENTS_MAX];
    uint64_t starts[SHARING_CLIENTS_MAX]; /* a pid is reused while others are parted */
};

/* When a process started; 0: it is gone. */
static uint64_t start_of(pid_t pid)
{
    char path[PROCFS_PATH_MAX];
    struct procfs_stat stat = {.start = 0};

    procfs_path(".", path);
    int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = proc < 0 ? proc : procfs_stat_read(proc, pid, &stat);
    fd_close(proc);
    return r ? 0 : stat.start;
}

static int do_part(void *context, int socket)
{
    const struct parting *parting = context;
    const struct keeper *keeper = parting->keeper;

    (void)socket;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint32_t i = 0; i < parting->count; i++) {
        for (int tries = 0; tries < PART_TRIES; tries++) {
            if (!parting->starts[i] || start_of(parting->pids[i]) != parting->starts[i] ||
                sharing_part(&keeper->device, &keeper->mode, parting->pids[i]) != -EBUSY)
                break;
            usleep(50000);
        }
    }
    return 0;
}

static bool begin(struct task *task, child_fn *fn, void *context, int64_t now_ns)
{
    if (child_start(fn, context, NULL, 0, &task->child))
        return false;
    task->begun_ns = now_ns;
    return true;
}

static void end(struct task *task, bool kills)
{
    if (kills || child_wait(&task->child, 1000) == -EINPROGRESS)
        child_kill(&task->child);
    else
        child_leave(&task->child);
    task->begun_ns = 0;
}

/* -- keeping --------------------------------------------------------------------------- */

/* A server can also go when all its clients have ended. */
static bool has_living_client(const struct sharing_report *report)
{
    for (uint32_t i = 0; i < report->client_count; i++)
        if (kill(report->clients[i], 0) == 0 || errno == EPERM)
            return true;
    return false;
}

/* The clients of a server that is gone have lost what they had on the device. */
static void note_fault(struct modes *modes, uint32_t device, const struct sharing_report *was)
{
    struct keeper *keeper = &modes->keepers[device];
    const struct sharing_report *now = &keeper->report;
    bool parted = keeper->parted;
    char details[64];

    keeper->parted = keeper->part.begun_ns > 0;
    if (!was->server || was->server == now->server || parted || keeper->parted ||
        !has_living_client(was))
        return;
    snprintf(details, sizeof(details), "server=%" PRId32 " clients=%" PRIu32, was->server,
             was->client_count);
    modes->start.note(modes->start.context, device, "mps-fault", details);
}

static void take_report(struct modes *modes, uint32_t device, int64_t now_ns)
{
    struct keeper *keeper = &modes->keepers[device];
    const struct sharing_report was = keeper->report;
    bool lasts = keeper->mode.kind == SHARING_MPS || keeper->mode.kind == SHARING_MIG;
    char details[64];

    keeper->report = keeper->next;
    note_fault(modes, device, &was);
    if (keeper->report.ready != was.ready) {
        snprintf(details, sizeof(details), "mode=%s ready=%s", sharing_mode_word(keeper->mode.kind),
                 keeper->report.ready ? "yes" : "no");
        modes->start.note(modes->start.context, device, "sharing", details);
    }
    keeper->next_ns = !keeper->report.ready ? now_ns + AGAIN_NS
                      : lasts               ? now_ns + LOOK_NS
                                            : INT64_MAX;
    /* Silence is counted in looks. */
    if (!keeper->report.ready && was.ready)
        keeper->next_ns = now_ns + LOOK_NS;
}

static void look_at_keeping(struct modes *modes, uint32_t device, int64_t now_ns)
{
    struct keeper *keeper = &modes->keepers[device];
    ssize_t length = child_read(&keeper->keep.child, &keeper->next, sizeof(keeper->next), 0);
    bool late = now_ns - keeper->keep.begun_ns > MOST_NS;

    if (length == -EINPROGRESS && !late) {
        keeper->next_ns = now_ns + BUSY_NS;
        return;
    }
    end(&keeper->keep, length == -EINPROGRESS);
    if (keeper->again) {
        keeper->again = false;
        keeper->next_ns = now_ns;
        return;
    }
    if (length != (ssize_t)sizeof(keeper->next)) {
        keeper->next = (struct sharing_report){.ready = false};
        snprintf(keeper->next.note, sizeof(keeper->next.note), "Setting up the mode %s.",
                 late ? "took longer than a minute and was ended" : "failed");
    }
    take_report(modes, device, now_ns);
}

static void keep(struct modes *modes, uint32_t device, int64_t now_ns)
{
    struct keeper *keeper = &modes->keepers[device];

    if (!*keeper->directory) {
        keeper->next = (struct sharing_report){.ready = keeper->mode.kind <= SHARING_TIMESLICE};
        if (!keeper->next.ready)
            snprintf(keeper->next.note, sizeof(keeper->next.note),
                     "There is no directory for it: the device has no UUID, or the path of the "
                     "state directory is too long.");
        take_report(modes, device, now_ns);
        return;
    }
    keeper->next_ns =
        now_ns + (begin(&keeper->keep, do_keep, keeper, now_ns) ? BUSY_NS : NS_PER_SECOND);
}

/* -- parting ------------------------------------------------------------------------------ */

static void add_pid(void *context, pid_t pid)
{
    struct parting *parting = context;

    if (parting->count == SHARING_CLIENTS_MAX)
        return;
    parting->starts[parting->count] = start_of(pid);
    parting->pids[parting->count++] = pid;
}

static void look_at_parting(struct keeper *keeper, int64_t now_ns)
{
    char unused;
    bool late = now_ns - keeper->part.begun_ns > MOST_NS;
    ssize_t length = child_read(&keeper->part.child, &unused, 1, 0);

    if (length == -EINPROGRESS && !late)
        return;
    end(&keeper->part, late);
    keeper->parted = true;
    keeper->missing = true;
}

bool modes_may_kill(struct modes *modes, uint32_t device, uint64_t id, int64_t now_ns)
{
    struct keeper *keeper = device < modes->start.device_count ? &modes->keepers[device] : NULL;

    if (!keeper || keeper->mode.kind != SHARING_MPS || !keeper->report.ready)
        return true;
    if (keeper->part.begun_ns)
        look_at_parting(keeper, now_ns);
    if (keeper->part.begun_ns)
        return false;
    if (keeper->parting == id && keeper->missing) {
        keeper->parting = 0;
        return true;
    }
    struct parting parting = {.keeper = keeper};
    proctrack_members(modes->start.proctrack, id, add_pid, &parting);
    if (!parting.count || !begin(&keeper->part, do_part, &parting, now_ns))
        return true;
    keeper->parting = id;
    keeper->missing = false;
    return false;
}

/* -- the thread ---------------------------------------------------------------------------- */

void modes_step(struct modes *modes, int64_t now_ns)
{
    for (uint32_t i = 0; i < modes->start.device_count; i++) {
        struct keeper *keeper = &modes->keepers[i];

        if (now_ns < keeper->next_ns)
            continue;
        if (keeper->keep.begun_ns)
            look_at_keeping(modes, i, now_ns);
        else
            keep(modes, i, now_ns);
    }
}

int64_t modes_next_ns(const struct modes *modes)
{
    int64_t next_ns = INT64_MAX;

    for (uint32_t i = 0; i < modes->start.device_count; i++)
        if (modes->keepers[i].next_ns < next_ns)
            next_ns = modes->keepers[i].next_ns;
    return next_ns;
}

const struct sharing_report *modes_report(const struct modes *modes, uint32_t device,
                                          const struct sharing_mode **ret_mode)
{
    *ret_mode = &modes->keepers[device].mode;
    return &modes->keepers[device].report;
}

bool modes_knows(const struct modes *modes, uint32_t device, int32_t pid)
{
    const struct sharing_report *report = &modes->keepers[device].report;

    if (pid == report->server || report->more_clients)
        return true;
    for (uint32_t i = 0; i < report->client_count; i++)
        if (report->clients[i] == pid)
            return true;
    return false;
}

const char *modes_pipe(const struct modes *modes, uint32_t device)
{
    return modes->keepers[device].pipe;
}
