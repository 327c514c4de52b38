/* SPDX-License-Identifier: Apache-2.0 */
/* Who may open which device node; see gating.h. */
#include "gating.h"

#include "log.h"

#include "../core/gate/gate.h"
#include "../core/gpu/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
/* Nodes are looked at so often though nobody told of a change: a watch can fail. */
#define RECHECK_NS (60 * SECOND_NS)
/* Who makes a node sets its mode a moment later. A node that entered the gate before
 * would get back the wrong one in the end. */
#define SETTLE_NS (SECOND_NS / 5)
/* Somebody who opens a node again and again is told of once in so long. */
#define TELL_NS   (60 * SECOND_NS)
#define NODES_MAX 512

/* A node, and the devices that told it: bit i for device i. */
struct gating_node {
    char path[GATE_PATH_MAX];
    uint64_t devices;
    bool own; /* of one device alone */
};

/* Somebody who may open the nodes of a device. */
struct holder {
    uint32_t device, id;
    bool is_group;
};

struct gating {
    struct gating_start start;
    struct gate *gate; /* NULL: not opened yet, or cannot be */
    bool on, dirty;
    int64_t scan_ns; /* when to look at the nodes again; INT64_MAX: never */
    int64_t told_ns; /* when a change by others was told last; 0: never */
    int watch_fd;
    struct gating_node *nodes;
    size_t node_count;
    struct holder *holders; /* sorted, each once */
    size_t holder_count, holder_capacity;
    uint64_t held; /* devices whose own nodes are in the gate */
    char why[GATE_SENTENCE_MAX];
};

int gating_new(const struct gating_start *start, struct gating **ret_gating)
{
    struct gating *gating = calloc(1, sizeof(*gating));
    if (!gating)
        return -ENOMEM;
    gating->start = *start;
    gating->scan_ns = INT64_MAX;
    gating->watch_fd = -1;
    *ret_gating = gating;
    return 0;
}

struct gating *gating_free(struct gating *gating)
{
    if (!gating)
        return NULL;
    gate_free(gating->gate);
    if (gating->watch_fd >= 0)
        close(gating->watch_fd);
    free(gating->nodes);
    free(gating->holders);
    free(gating);
    return NULL;
}

/* What is wrong from now on; said when it is something new. */
static void set_why(struct gating *gating, const char *sentence)
{
    if (*sentence && strcmp(sentence, gating->why) != 0)
        log_say("%s", sentence);
    snprintf(gating->why, sizeof(gating->why), "%s", sentence);
}

/* -- which nodes there are ---------------------------------------------------------- */

struct finding {
    struct gating *gating;
    uint32_t device;
};

static int found(void *context, const char *path, bool shared)
{
    struct finding *finding = context;
    struct gating *gating = finding->gating;
    struct gating_node *node = NULL;
    if (strlen(path) >= sizeof(node->path))
        return 0;
    for (size_t i = 0; i < gating->node_count && !node; i++)
        if (!strcmp(gating->nodes[i].path, path))
            node = &gating->nodes[i];
    if (!node && gating->node_count == NODES_MAX)
        return 0;
    if (!node) {
        node = &gating->nodes[gating->node_count++];
        *node = (struct gating_node){.own = !shared};
        strcpy(node->path, path);
    }
    node->devices |= UINT64_C(1) << finding->device;
    return 0;
}

static void find_nodes(struct gating *gating)
{
    struct finding finding = {.gating = gating};
    gating->node_count = 0;
    for (; finding.device < gating->start.device_count; finding.device++)
        gpu_nodes(&gating->start.devices[finding.device], NULL, found, &finding);
}

/* -- who may open them ----------------------------------------------------------------- */

static int compare_holders(const void *one, const void *other)
{
    const struct holder *a = one, *b = other;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->is_group != b->is_group)
        return a->is_group ? 1 : -1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int add_holder(struct gating *gating, uint32_t device, uint32_t id, bool is_group)
{
    if (gating->holder_count == gating->holder_capacity) {
        size_t capacity = gating->holder_capacity ? gating->holder_capacity * 2 : 64;
        struct holder *holders = realloc(gating->holders, capacity * sizeof(*holders));
        if (!holders)
            return -ENOMEM;
        gating->holders = holders;
        gating->holder_capacity = capacity;
    }
    gating->holders[gating->holder_count++] = (struct holder){device, id, is_group};
    return 0;
}

static int find_holders(struct gating *gating)
{
    const struct holding *holding;
    int r = 0;
    gating->holder_count = 0;
    for (size_t at = 0; !r && (holding = holdings_next(gating->start.holdings, &at));) {
        if (holding->device >= GPU_DEVICE_MAX)
            continue;
        r = add_holder(gating, holding->device, holding->uid, false);
        if (!r && (holding->mode & 0020))
            r = add_holder(gating, holding->device, holding->gid, true);
    }
    if (gating->holder_count)
        qsort(gating->holders, gating->holder_count, sizeof(struct holder), compare_holders);
    size_t kept = 0;
    for (size_t i = 0; i < gating->holder_count; i++)
        if (!kept || compare_holders(&gating->holders[kept - 1], &gating->holders[i]))
            gating->holders[kept++] = gating->holders[i];
    gating->holder_count = kept;
    return r;
}

/* The ids of those who may open a node, from `ids` on. */
static size_t put_ids(const struct gating *gating, const struct gating_node *node, bool groups,
                      uint32_t *ids)
{
    size_t count = 0;
    for (size_t i = 0; i < gating->holder_count; i++) {
        const struct holder *holder = &gating->holders[i];
        if (holder->is_group == groups && (node->devices >> holder->device & 1))
            ids[count++] = holder->id;
    }
    return count;
}

/* -- opening and closing ------------------------------------------------------------------ */

static int apply(struct gating *gating, char *sentence, size_t size)
{
    struct gate_node *wanted = calloc(gating->node_count + 1, sizeof(*wanted));
    uint32_t *ids = calloc(gating->node_count * gating->holder_count + 1, sizeof(*ids));
    uint32_t *next = ids;
    int r = -ENOMEM;
    if (wanted && ids) {
        for (size_t i = 0; i < gating->node_count; i++) {
            const struct gating_node *node = &gating->nodes[i];
            wanted[i].path = node->path;
            wanted[i].uids = next;
            wanted[i].uid_count = put_ids(gating, node, false, next);
            next += wanted[i].uid_count;
            wanted[i].gids = next;
            wanted[i].gid_count = put_ids(gating, node, true, next);
            next += wanted[i].gid_count;
        }
        r = gate_apply(gating->gate, wanted, gating->node_count, sentence, size);
    } else {
        snprintf(sentence, size, "not enough memory for the gate: device nodes stay as they are");
    }
    free(wanted);
    free(ids);
    return r;
}

/* Opened when it is needed first: also to see whether a daemon left something. */
static bool open_gate(struct gating *gating)
{
    const struct gate_options options = {.state_dir = gating->start.state_dir};
    char sentence[GATE_SENTENCE_MAX];
    if (gating->gate)
        return true;
    int r = gate_new(&options, &gating->gate, sentence, sizeof(sentence));
    if (r)
        set_why(gating, sentence);
    else if (*sentence)
        log_say("%s", sentence);
    return !r;
}

static void tell_changed(void *context, const char *path, const char *sentence)
{
    struct gating *gating = context;
    char details[128];
    log_say("%s; only holders of partitions can open it again", sentence);
    snprintf(details, sizeof(details), "node=%.100s", path);
    gating->start.note(gating->start.context, "node-changed", details);
}

static void tell_changes(struct gating *gating, int64_t now_ns)
{
    bool tell = !gating->told_ns || now_ns - gating->told_ns >= TELL_NS;
    if (gate_check(gating->gate, tell ? tell_changed : NULL, gating) && tell)
        gating->told_ns = now_ns;
}

/* What is wrong although the gate could do its work. */
static void find_weakness(const struct gating *gating, char *sentence, size_t size)
{
    sentence[0] = '\0';
    if (!gating->node_count)
        snprintf(sentence, size,
                 "the gate finds no device nodes of these devices: "
                 "everybody can use them as before");
    else
        gpu_nodes_reopened(NULL, sentence, size);
}

static void hold(struct gating *gating, int64_t now_ns, bool scan)
{
    char sentence[GATE_SENTENCE_MAX] = "";
    tell_changes(gating, now_ns); /* before they are mended */
    if (scan)
        find_nodes(gating);
    int r = find_holders(gating);
    if (r)
        snprintf(sentence, sizeof(sentence), "not enough memory for the gate: nobody new gets in");
    else
        r = apply(gating, sentence, sizeof(sentence));
    gating->held = 0;
    for (size_t i = 0; !r && i < gating->node_count; i++)
        gating->held |= gating->nodes[i].own ? gating->nodes[i].devices : 0;
    if (!r)
        find_weakness(gating, sentence, sizeof(sentence));
    set_why(gating, sentence);
}

static void let_go(struct gating *gating, int64_t now_ns)
{
    char sentence[GATE_SENTENCE_MAX];
    gating->held = 0;
    int r = gate_release(gating->gate, sentence, sizeof(sentence));
    set_why(gating, r ? sentence : "");
    gating->scan_ns = r ? now_ns + RECHECK_NS : INT64_MAX;
}

/* -- noticing what others do ---------------------------------------------------------------- */

static void watch(struct gating *gating)
{
    static const char *const directories[] = {"/dev", "/dev/dri", "/dev/accel"};
    if (gating->watch_fd < 0)
        gating->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        if (gating->watch_fd >= 0) /* what is not there is no harm: there is RECHECK_NS */
            inotify_add_watch(gating->watch_fd, directories[i],
                              IN_ATTRIB | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
}

static void unwatch(struct gating *gating)
{
    if (gating->watch_fd >= 0)
        close(gating->watch_fd);
    gating->watch_fd = -1;
}

static bool is_node(const struct gating *gating, const char *name)
{
    for (size_t i = 0; i < gating->node_count; i++)
        if (!strcmp(strrchr(gating->nodes[i].path, '/') + 1, name))
            return true;
    return false;
}

static void plan(struct gating *gating, int64_t at_ns)
{
    if (at_ns < gating->scan_ns)
        gating->scan_ns = at_ns;
}

/* Takes in what happened in the directories of the nodes. */
static void notice(struct gating *gating, int64_t now_ns)
{
    _Alignas(struct inotify_event) char data[4096];
    ssize_t length;
    while (gating->watch_fd >= 0 && (length = read(gating->watch_fd, data, sizeof(data))) > 0)
        for (char *at = data; at < data + length;) {
            const struct inotify_event *event = (const void *)at;
            at += sizeof(*event) + event->len;
            if (event->mask & IN_Q_OVERFLOW)
                plan(gating, now_ns);
            else if (event->mask & (IN_CREATE | IN_MOVED_TO))
                plan(gating, now_ns + SETTLE_NS);
            else if (event->len && is_node(gating, event->name))
                plan(gating, now_ns);
        }
}

/* -- from outside ------------------------------------------------------------------------------ */

void gating_set(struct gating *gating, bool on)
{
    if (gating->on != on || !gating->nodes)
        gating->scan_ns = 0;
    gating->on = on;
}

void gating_touch(struct gating *gating)
{
    gating->dirty = gating->on;
}

void gating_step(struct gating *gating, int64_t now_ns)
{
    notice(gating, now_ns);
    bool scan = gating->scan_ns <= now_ns;
    if (!scan && !gating->dirty)
        return;
    gating->dirty = false;
    if (scan)
        gating->scan_ns = now_ns + RECHECK_NS;
    if (!gating->nodes)
        gating->nodes = calloc(NODES_MAX, sizeof(*gating->nodes));
    if (!gating->nodes || !open_gate(gating)) {
        gating->held = 0;
        return;
    }
    if (gating->on) {
        watch(gating);
        hold(gating, now_ns, scan);
    } else {
        unwatch(gating);
        let_go(gating, now_ns);
    }
}

int64_t gating_next_ns(const struct gating *gating)
{
    return gating->dirty ? 0 : gating->scan_ns;
}

int gating_fd(const struct gating *gating)
{
    return gating->watch_fd;
}

bool gating_holds(const struct gating *gating, uint32_t device)
{
    return device < GPU_DEVICE_MAX && (gating->held >> device & 1);
}

const char *gating_why(const struct gating *gating)
{
    return gating->why;
}
