/* SPDX-License-Identifier: Apache-2.0 */
/* Control access to device nodes; see access.h. */
#include "access.h"
#include "holders.h"
#include "host.h"
#include "node_scan.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/ns.h"
#include "core/devacl/devacl.h"
#include "core/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Check nodes this often even without a notification, because a watch can fail. */
#define RECHECK_NS (60 * NS_PER_SECOND)
/* Wait this long before closing a new node: it gets its mode a moment after its creation, and
 * closing it earlier would save the wrong mode for restoring. */
#define SETTLE_NS (NS_PER_SECOND / 5)
/* Report repeated changes of nodes at most once in this time. */
#define REPORT_NS (60 * NS_PER_SECOND)
/* Look this often whether directories that a user held are free. */
#define HELD_NS NS_PER_SECOND
#define HELD_WHY                                                                                   \
    "Device nodes cannot be looked for: a process holds a directory of /dev, /sys or "             \
    "/proc/driver. New nodes are not restricted until it ends."

struct access {
    struct access_start start;
    struct devacl *devacl; /* NULL: not opened yet, or opening failed */
    bool on, dirty;
    bool has_nodes;      /* some device can have any */
    int64_t scan_ns;     /* when to find the nodes again; INT64_MAX: never */
    int64_t reported_ns; /* when a change by others was reported last; 0: never */
    int watch_fd;
    unsigned watched; /* bit i for node_scan_directories[i] */
    struct node_scan scan;
    struct scanned_nodes *nodes; /* found last */
    bool found;                  /* at all */
    int failed;                  /* -errno of the last scan; -EINPROGRESS: it waits; 0: none */
    struct holders holders;
    bool *restricted; /* for each device: only holders can open its own nodes */
    char why[MESSAGE_MAX];
};

int access_new(const struct access_start *start, struct access **ret_access)
{
    struct access *access = calloc(1, sizeof(*access));
    if (access)
        access->restricted = calloc(start->device_count + 1, sizeof(*access->restricted));
    if (!access || !access->restricted) {
        free(access);
        return -ENOMEM;
    }
    access->start = *start;
    for (uint32_t i = 0; i < start->device_count; i++) /* the others are simulated, or processors */
        access->has_nodes |=
            start->devices[i].pci[0] || !strncmp(start->devices[i].uuid, "GPU-", 4);
    access->scan_ns = INT64_MAX;
    access->watch_fd = -1;
    access->scan =
        (struct node_scan){.devices = start->devices, .device_count = start->device_count};
    *ret_access = access;
    return 0;
}

/* Set the reason; log it if it is new. */
static void set_why(struct access *access, const char *message)
{
    if (*message && strcmp(message, access->why) != 0)
        log_say("%s", message);
    snprintf(access->why, sizeof(access->why), "%s", message);
}

/* -- changes by others ---------------------------------------------------------------- */

static void scan_by(struct access *access, int64_t at_ns)
{
    if (at_ns < access->scan_ns)
        access->scan_ns = at_ns;
}

/* Watch the directories that exist: looking for others could wait for a user. */
static void watch(struct access *access, int64_t now_ns)
{
    unsigned directories = access->nodes->directories;
    if (access->watch_fd < 0) {
        access->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        access->watched = 0;
    }
    for (size_t i = 0; i < NODE_SCAN_DIRECTORIES; i++)
        if (access->watch_fd >= 0 && (directories >> i & 1)) /* can fail: RECHECK_NS covers it */
            inotify_add_watch(access->watch_fd, node_scan_directories[i],
                              IN_ATTRIB | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    if (directories & ~access->watched) /* what was made there before it was watched */
        scan_by(access, now_ns + SETTLE_NS);
    access->watched = directories;
}

static bool is_node(const struct access *access, const char *name)
{
    for (size_t i = 0; i < access->nodes->count; i++)
        if (!strcmp(strrchr(access->nodes->node[i].path, '/') + 1, name))
            return true;
    return false;
}

/* Read the changes in the directories of the nodes. */
static void read_changes(struct access *access, int64_t now_ns)
{
    _Alignas(struct inotify_event) char data[4096];
    ssize_t length;
    while (access->watch_fd >= 0 && (length = read(access->watch_fd, data, sizeof(data))) > 0)
        for (char *at = data; at < data + length;) {
            const struct inotify_event *event = (const void *)at;
            at += sizeof(*event) + event->len;
            if (event->mask & IN_Q_OVERFLOW)
                scan_by(access, now_ns);
            else if (event->mask & (IN_CREATE | IN_MOVED_TO))
                scan_by(access, now_ns + SETTLE_NS);
            else if (event->len && is_node(access, event->name))
                scan_by(access, now_ns);
        }
}

/* Note which devices have nodes of their own that are restricted now. */
static void set_restricted(struct access *access, bool as_scanned)
{
    const uint32_t count = access->start.device_count;
    memset(access->restricted, 0, count * sizeof(*access->restricted));
    for (size_t i = 0; as_scanned && i < access->nodes->count; i++) {
        const struct scanned_node *node = &access->nodes->node[i];
        for (uint32_t device = 0; node->own && device < count; device++)
            access->restricted[device] |= scanned_node_has(node, device);
    }
}

/* Find the nodes; where that has to wait, those found last stay. */
static void find_nodes(struct access *access, int64_t now_ns)
{
    bool waited = access->failed != 0;
    int r = node_scan_run(&access->scan, access->nodes);
    access->failed = r;
    if (r) {
        scan_by(access, now_ns + HELD_NS);
        return;
    }
    access->found = true;
    watch(access, now_ns);
    if (waited) /* what it found may be old */
        scan_by(access, now_ns + SETTLE_NS);
}

/* Say why new nodes are not noticed. */
static void explain_scan(const struct access *access, struct message *message)
{
    if (access->failed == -EINPROGRESS)
        message_set(0, message, "%s", HELD_WHY);
    else
        message_set(0, message,
                    "Device nodes cannot be looked for (%s). New nodes are not restricted until "
                    "that works again.",
                    strerror(-access->failed));
}

/* -- opening and closing ------------------------------------------------------------------ */

/* Collect the ids allowed to open a node, starting at `ids`. */
static size_t put_ids(const struct access *access, const struct scanned_node *node, bool groups,
                      uint32_t *ids)
{
    size_t count = 0;
    for (size_t i = 0; i < access->holders.count; i++) {
        const struct holder *holder = &access->holders.holder[i];
        if (holder->is_group == groups && scanned_node_has(node, holder->device))
            ids[count++] = holder->id;
    }
    return count;
}

static int apply(struct access *access, struct message *message)
{
    struct devacl_node *wanted = calloc(access->nodes->count + 1, sizeof(*wanted));
    uint32_t *ids = calloc(access->nodes->count * access->holders.count + 1, sizeof(*ids));
    uint32_t *next = ids;
    int r = -ENOMEM;
    if (wanted && ids) {
        for (size_t i = 0; i < access->nodes->count; i++) {
            const struct scanned_node *node = &access->nodes->node[i];
            wanted[i].path = node->path;
            wanted[i].uids = next;
            wanted[i].uid_count = put_ids(access, node, false, next);
            next += wanted[i].uid_count;
            wanted[i].gids = next;
            wanted[i].gid_count = put_ids(access, node, true, next);
            next += wanted[i].gid_count;
        }
        r = devacl_apply(access->devacl, wanted, access->nodes->count, message);
    } else {
        message_set(r, message, "Out of memory: the device nodes stay as they are.");
    }
    free(wanted);
    free(ids);
    return r;
}

/* Open it on first use, which also finds the nodes that an earlier daemon left closed. */
static bool open_devacl(struct access *access)
{
    const struct devacl_options options = {.state_dir = access->start.state_dir};
    struct message message;
    if (access->devacl)
        return true;
    int r = devacl_new(&options, &access->devacl, &message);
    if (r)
        set_why(access, message.text);
    else if (*message.text)
        log_say("%s", message.text);
    return !r;
}

static void report_change(void *context, const char *path, const char *message)
{
    struct access *access = context;
    char details[128];
    log_say("%s Only holders of partitions can open it again.", message);
    snprintf(details, sizeof(details), "node=%.100s", path);
    access->start.note(access->start.context, ENGINE_DEVICE_ANY, "node-changed", details);
}

static void report_changes(struct access *access, int64_t now_ns)
{
    bool report = !access->reported_ns || now_ns - access->reported_ns >= REPORT_NS;
    if (devacl_check(access->devacl, report ? report_change : NULL, access) && report)
        access->reported_ns = now_ns;
}

static void restrict_nodes(struct access *access, int64_t now_ns, bool scan)
{
    struct message message = {""};
    if (scan)
        find_nodes(access, now_ns);
    report_changes(access, now_ns); /* right before apply undoes them */
    if (!access->found) {           /* the nodes that an earlier daemon closed stay closed */
        set_restricted(access, false);
        explain_scan(access, &message);
        set_why(access, message.text);
        return;
    }
    int r = holders_find(&access->holders, access->start.allocations);
    if (r)
        message_set(r, &message, "Out of memory: the device nodes admit no new holder.");
    else
        r = apply(access, &message);
    if (r == -E2BIG && strcmp(message.text, access->why) != 0)
        access->start.note(access->start.context, ENGINE_DEVICE_ANY, "holders-left-out", "");
    if (r == -EBUSY)
        scan_by(access, now_ns + HELD_NS);
    set_restricted(access, !r || r == -E2BIG);
    /* Reasons why closed nodes do not keep all others out. */
    if (!r && access->failed)
        explain_scan(access, &message);
    else if (!r && !access->nodes->count)
        message_set(0, &message,
                    "No device nodes of these devices were found: all users can open them as "
                    "before.");
    else if (!r)
        message = access->nodes->reopened;
    set_why(access, message.text);
}

static void release_nodes(struct access *access, int64_t now_ns)
{
    struct message message;
    set_restricted(access, false);
    access->holders.full = false;
    int r = devacl_release(access->devacl, &message);
    set_why(access, r ? message.text : "");
    access->scan_ns = r ? now_ns + RECHECK_NS : INT64_MAX;
}

/* -- external functions ------------------------------------------------------------------------ */

void access_set(struct access *access, bool on)
{
    if (access->on != on || !access->nodes)
        access->scan_ns = 0;
    access->on = on;
}

void access_touch(struct access *access)
{
    access->dirty = access->on;
}

void access_step(struct access *access, int64_t now_ns)
{
    read_changes(access, now_ns);
    bool scan = access->scan_ns <= now_ns;
    if (!scan && !access->dirty)
        return;
    access->dirty = false;
    if (scan)
        access->scan_ns = now_ns + RECHECK_NS;
    if (!access->nodes)
        access->nodes = calloc(1, sizeof(*access->nodes));
    if (!access->nodes || !open_devacl(access)) {
        set_restricted(access, false);
        return;
    }
    if (access->on) {
        restrict_nodes(access, now_ns, scan);
    } else {
        release_nodes(access, now_ns);
        if (scan && access->has_nodes) /* for those who ask which there are */
            find_nodes(access, now_ns);
    }
}

int64_t access_next_ns(const struct access *access)
{
    return access->dirty ? 0 : access->scan_ns;
}

int access_fd(const struct access *access)
{
    return access->watch_fd;
}

bool access_restricts(const struct access *access, uint32_t device)
{
    return device < access->start.device_count && access->restricted[device];
}

void access_print_nodes(const struct access *access, uint32_t device, char *ret_paths)
{
    size_t used = 0;
    ret_paths[0] = '\0';
    for (size_t i = 0; access->found && i < access->nodes->count; i++) {
        const struct scanned_node *node = &access->nodes->node[i];
        const size_t length = strlen(node->path);
        if (!scanned_node_has(node, device) || strchr(node->path, ' ') ||
            used + length + 2 > HOST_NODES_MAX)
            continue;
        used += (size_t)snprintf(ret_paths + used, HOST_NODES_MAX - used, "%s%s", used ? " " : "",
                                 node->path);
    }
}

bool access_is_full(const struct access *access)
{
    return access->holders.full;
}

const char *access_why(const struct access *access)
{
    return access->why;
}
