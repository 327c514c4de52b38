/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a partition. One row a file; see tree.h. */
#include "charge.h"
#include "enforcement.h"
#include "env.h"
#include "files.h"
#include "members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every show function begins with this: what the node belongs to may have ended. */
#define PARTITION_OR_GONE(tree, node)                                                              \
    const struct partition *partition = tree_partition(tree, node);                                \
    if (!partition)                                                                                \
        return -ENODEV;                                                                            \
    (void)uid

SHOW(user)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%s\n", names_user(tree->names, partition->uid));
    return 0;
}

SHOW(name)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%s\n", partition->name);
    return 0;
}

static int show_wall(int64_t wall_ns, struct strbuf *out)
{
    char time[STRBUF_TIME_MAX];
    strbuf_time(wall_ns, time);
    strbuf_print(out, "%s\n", time);
    return 0;
}

SHOW(created)
{
    PARTITION_OR_GONE(tree, node);
    return show_wall(partition->created_wall_ns, out);
}

SHOW(creator)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%u %d\n", (unsigned)partition->creator_uid, (int)partition->creator_pid);
    return 0;
}

SHOW(device)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "gpu%u\n", (unsigned)partition->device);
    return 0;
}

/* As few digits as mean exactly this many bytes when they are written back. */
SHOW(fraction)
{
    PARTITION_OR_GONE(tree, node);
    uint64_t total = engine_device(tree->engine, partition->device)->memory_bytes;
    struct amount amount = {.is_share = true, .scale = 1};
    int decimals = 0;
    for (; decimals <= 18; decimals++, amount.scale *= 10) {
        amount.digits = units_fraction_digits(partition->memory_bytes, total, amount.scale);
        if (decimals == 18 || units_amount_bytes(&amount, total) == partition->memory_bytes)
            break;
    }
    if (amount.digits >= amount.scale)
        strbuf_print(out, "1\n");
    else
        strbuf_print(out, "0.%0*llu\n", decimals, (unsigned long long)amount.digits);
    return 0;
}

SHOW(memory_limit)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%llu\n", (unsigned long long)partition->memory_bytes);
    return 0;
}

static struct ledger_figures usage_of(struct tree *tree, const struct partition *partition)
{
    struct ledger_figures figures;
    ledger_get(tree->ledger, partition->id, &figures);
    return figures;
}

SHOW(memory_used)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%llu\n", (unsigned long long)usage_of(tree, partition).used_bytes);
    return 0;
}

SHOW(memory_peak)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%llu\n", (unsigned long long)usage_of(tree, partition).peak_bytes);
    return 0;
}

SHOW(charge)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%llu\n", (unsigned long long)usage_of(tree, partition).charged_bytes);
    return 0;
}

SHOW(duration)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%lld\n",
                 (long long)units_seconds_up(partition->end_ns - partition->start_ns));
    return 0;
}

SHOW(start)
{
    PARTITION_OR_GONE(tree, node);
    return show_wall(partition->start_ns + tree->offset_ns, out);
}

SHOW(expires)
{
    PARTITION_OR_GONE(tree, node);
    return show_wall(partition->end_ns + tree->offset_ns, out);
}

SHOW(remaining)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%lld\n", (long long)units_seconds_up(partition->end_ns - tree->now_ns));
    return 0;
}

SHOW(state)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, partition->warned ? "expiring\n" : "active\n");
    return 0;
}

SHOW(on_expiry)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%s\n", ending_on_expiry_text(partition->on_expiry));
    return 0;
}

SHOW(grace)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%lld\n", (long long)(partition->grace_ns / NS_PER_SECOND));
    return 0;
}

SHOW(warn)
{
    PARTITION_OR_GONE(tree, node);
    char text[WARN_TEXT_MAX];
    ending_warn_text(&partition->warn, text);
    strbuf_print(out, "%s\n", text);
    return 0;
}

SHOW(env)
{
    PARTITION_OR_GONE(tree, node);
    env_print(tree, partition, out);
    return 0;
}

SHOW(gpu_time)
{
    PARTITION_OR_GONE(tree, node);
    unsigned long long busy_ms = usage_of(tree, partition).busy_ns / 1000000;
    strbuf_print(out, "%llu.%03llu\n", busy_ms / 1000, busy_ms % 1000);
    return 0;
}

SHOW(procs)
{
    PARTITION_OR_GONE(tree, node);
    const struct look *look = members_find(tree->members, partition->id, INT64_MIN);
    if (look)
        strbuf_add(out, look->pids.data, look->pids.length);
    return 0;
}

SHOW(enforcement)
{
    PARTITION_OR_GONE(tree, node);
    enforcement_print(tree, partition, out);
    return 0;
}

SHOW(events)
{
    PARTITION_OR_GONE(tree, node);
    event_log_chain(&tree->events, partition->change_seq, out);
    return 0;
}

/* -- writing ------------------------------------------------------------------ */

static int store_name(struct tree *tree, struct write *write)
{
    return engine_rename(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                         write->node->object, write->text);
}

static int store_fraction(struct tree *tree, struct write *write)
{
    const struct partition *partition = tree_partition(tree, write->node);
    struct amount amount;
    int r = units_parse_amount(write->text, write->length, &amount, write->why.message,
                               sizeof(write->why.message));
    if (r)
        return r;
    uint64_t total = engine_device(tree->engine, partition->device)->memory_bytes;
    uint64_t bytes = units_amount_bytes(&amount, total),
             charged = usage_of(tree, partition).charged_bytes;
    bool may = engine_may_act(&write->caller, partition) || write->caller.by_mode;
    if (may && bytes < charged && bytes < partition->memory_bytes) {
        snprintf(
            write->why.message, sizeof(write->why.message),
            "Programs have booked %llu bytes of p%llu: it can get smaller than that (%llu were "
            "asked for) when they give some back or end",
            (unsigned long long)charged, (unsigned long long)partition->id,
            (unsigned long long)bytes);
        return REFUSED_BUSY;
    }
    return engine_resize(tree->engine, TREE_CALL(tree, &write->caller, &write->why), partition->id,
                         bytes);
}

/* "7200" sets what remains; "+30m" and "-10m" change it. */
static int store_remaining(struct tree *tree, struct write *write)
{
    const struct partition *partition = tree_partition(tree, write->node);
    char sign = write->text[0];
    size_t skip = sign == '+' || sign == '-';
    int64_t duration_ns;
    int r = units_parse_duration(write->text + skip, write->length - skip, &duration_ns,
                                 write->why.message, sizeof(write->why.message));
    if (r)
        return r;
    int64_t end_ns = sign == '+'   ? partition->end_ns + duration_ns
                     : sign == '-' ? partition->end_ns - duration_ns
                                   : tree->now_ns + duration_ns;
    return engine_set_end(tree->engine, TREE_CALL(tree, &write->caller, &write->why), partition->id,
                          end_ns);
}

static int set_ending(struct tree *tree, struct write *write, const struct ending_change *change)
{
    return engine_set_ending(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                             write->node->object, change);
}

static int store_on_expiry(struct tree *tree, struct write *write)
{
    struct ending_change change = {.set_on_expiry = true};
    int r = ending_parse_on_expiry(write->text, write->length, &change.on_expiry,
                                   write->why.message, sizeof(write->why.message));
    return r ? r : set_ending(tree, write, &change);
}

static int store_grace(struct tree *tree, struct write *write)
{
    struct ending_change change = {.set_grace = true};
    int r = units_parse_grace(write->text, write->length, &change.grace_ns, write->why.message,
                              sizeof(write->why.message));
    return r ? r : set_ending(tree, write, &change);
}

static int store_warn(struct tree *tree, struct write *write)
{
    struct ending_change change = {.set_warn = true};
    int r = ending_parse_warn(write->text, write->length, &change.warn, write->why.message,
                              sizeof(write->why.message));
    return r ? r : set_ending(tree, write, &change);
}

/* A pid as the writer counts; 0 is the writer itself, as in cgroup v2. */
static int store_procs(struct tree *tree, struct write *write)
{
    const struct partition *partition = tree_partition(tree, write->node);
    size_t digits = strspn(write->text, "0123456789");
    long long pid = digits && digits <= 10 ? atoll(write->text) : -1;
    if (!engine_may_act(&write->caller, partition) && !write->caller.by_mode)
        return REFUSED_PERMISSION;
    if (pid < 0 || pid > INT32_MAX || write->text[digits]) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "\"%.32s\" is not a process: write its pid, or 0 for the one that writes",
                 write->text);
        return REFUSED_INVALID;
    }
    write->join_pid = (int32_t)pid;
    write->outcome = WRITE_JOINS;
    return 0;
}

/* -- watching ------------------------------------------------------------------ */

static bool watch_events(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    const struct partition *partition = tree_partition(tree, node);
    *ret_change = partition ? partition->change_seq : 0;
    return partition != NULL;
}

/* Who read `active` is woken when it is `expiring`, and the other way round. */
static bool watch_state(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    const struct partition *partition = tree_partition(tree, node);
    *ret_change = partition ? partition->warned : 0;
    return partition != NULL;
}

const struct file_row files_partition[] = {
    {"user", 0444, FRESH_NEVER, show_user, .doc = "who it belongs to"},
    {"name", 0644, FRESH_ALWAYS, show_name, store_name,
     .doc = "a label; write another (letters, digits, `.`, `_`, `-`, at most 64), or an empty "
            "line for none"},
    {"created", 0444, FRESH_ALWAYS, show_created, .doc = "when it was asked for"},
    {"creator", 0444, FRESH_ALWAYS, show_creator, .doc = "uid and pid that asked"},
    {"device", 0444, FRESH_ALWAYS, show_device, .doc = "the device it is part of"},
    {"fraction", 0644, FRESH_ALWAYS, show_fraction, store_fraction,
     .doc = "its part of the device's memory; write another amount (`0.25`, `25%`, `20G`) to "
            "resize it, if that fits"},
    {"memory_limit", 0444, FRESH_ALWAYS, show_memory_limit, .doc = "the same in bytes"},
    {"memory_used", 0444, FRESH_NEVER, show_memory_used, .live = LIVE_USAGE,
     .doc = "bytes of it that are in use: what its programs have booked, or what the driver tells "
            "of them, whichever is more"},
    {"memory_peak", 0444, FRESH_NEVER, show_memory_peak, .live = LIVE_USAGE,
     .doc = "the most that was ever in use"},
    {"charge", 0644, FRESH_NEVER, show_charge, charge_store, .lent = true, .opened = charge_open,
     .doc = "bytes that programs have booked; write `+4096` to book that many on this open file, "
            "`-4096` to give them back"},
    {"env", 0444, FRESH_NEVER, show_env,
     .doc = "lines for a shell: `. env` gives a program what it needs to run inside the partition"},
    {"duration", 0444, FRESH_ALWAYS, show_duration, .doc = "seconds from start to end"},
    {"start", 0444, FRESH_ALWAYS, show_start, .doc = "when it began"},
    {"expires", 0444, FRESH_ALWAYS, show_expires, .doc = "when it ends"},
    {"remaining", 0644, FRESH_COUNTS_DOWN, show_remaining, store_remaining,
     .doc = "seconds left, rounded up, never 0; write `7200` to set it, `+30m` or `-10m` to change "
            "it"},
    {"state", 0444, FRESH_NEVER, show_state, .watch = watch_state,
     .doc = "`active`, or `expiring` from the warning on; poll (POLLPRI) wakes when it changes and "
            "at the end"},
    {"on_expiry", 0644, FRESH_ALWAYS, show_on_expiry, store_on_expiry,
     .doc = "what happens to its processes at the end: `none`, `term` (SIGTERM, then SIGKILL), "
            "`kill`; write another that config/allowed_on_expiry has"},
    {"grace", 0644, FRESH_ALWAYS, show_grace, store_grace,
     .doc = "seconds from SIGTERM to SIGKILL where on_expiry is `term`; write others, at most "
            "config/max_grace"},
    {"warn", 0644, FRESH_ALWAYS, show_warn, store_warn,
     .doc =
         "the warning before the end: `none`, or how many seconds before, `300`, and a signal to "
         "its processes then, `300:USR1`; write another"},
    {"gpu_time", 0444, FRESH_NEVER, show_gpu_time, .live = LIVE_USAGE,
     .doc = "seconds that the device worked for its programs, where the driver tells"},
    {"procs", 0644, FRESH_NEVER, show_procs, store_procs, .live = LIVE_MEMBERS,
     .doc = "pids of the programs that belong to it, with their children; write a pid of yours to "
            "join it, 0 for the writer"},
    {"enforcement", 0444, FRESH_NEVER, show_enforcement, .live = LIVE_USAGE,
     .doc = "which limit is kept by what, now"},
    {"events", 0444, FRESH_NEVER, show_events, .watch = watch_events,
     .doc = "the latest events about it, a line each"},
    {0},
};
