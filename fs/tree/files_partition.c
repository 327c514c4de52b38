/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a partition, one row per file; see files.h. */
#include "charge.h"
#include "enforcement.h"
#include "env.h"
#include "files.h"
#include "files_compute.h"
#include "files_members.h"
#include "files_shares.h"
#include "files_suspend.h"
#include "files_waits.h"
#include "members.h"
#include "waits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ledger_figures usage_of(const struct tree *tree, const struct partition *partition)
{
    struct ledger_figures figures;
    ledger_get(tree->ledger, partition->id, &figures);
    return figures;
}

static void print_wall(int64_t wall_ns, struct strbuf *out)
{
    char time[STRBUF_TIME_MAX];
    strbuf_time(wall_ns, time);
    strbuf_print(out, "%s\n", time);
}

/* Print the field of `record` that the row describes. */
static void print_field(const struct tree *tree, const struct file_row *row, const void *record,
                        struct strbuf *out)
{
    const void *field = (const char *)record + row->offset;
    const int64_t *ns = field;
    const uint64_t *number = field;
    switch (row->shown) {
    case SHOWN_TEXT:
        strbuf_print(out, "%s\n", (const char *)field);
        break;
    case SHOWN_NUMBER:
        strbuf_print(out, "%llu\n", (unsigned long long)*number);
        break;
    case SHOWN_SECONDS:
        strbuf_print(out, "%lld\n", (long long)(*ns / NS_PER_SECOND));
        break;
    case SHOWN_WALL:
        print_wall(*ns, out);
        break;
    case SHOWN_MOMENT:
        print_wall(tree_shown_ns(tree, *ns), out);
        break;
    case SHOWN_WORD:
        strbuf_print(out, "%s\n", row->word(*(const uint32_t *)field));
        break;
    case SHOWN_BUSY_TIME:
        strbuf_print(out, "%llu.%03llu\n", (unsigned long long)(*number / 1000000000),
                     (unsigned long long)(*number / 1000000 % 1000));
        break;
    }
}

SHOW(field)
{
    PARTITION_OR_GONE(tree, node);
    print_field(tree, tree_row(tree, node), partition, out);
    return 0;
}

SHOW(usage)
{
    PARTITION_OR_GONE(tree, node);
    struct ledger_figures figures = usage_of(tree, partition);
    print_field(tree, tree_row(tree, node), &figures, out);
    return 0;
}

SHOW(user)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%s\n", names_user(tree->names, partition->uid));
    return 0;
}

SHOW(creator)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%u %d\n", (unsigned)partition->creator_uid, (int)partition->creator_pid);
    return 0;
}

SHOW(duration)
{
    PARTITION_OR_GONE(tree, node);
    strbuf_print(out, "%lld\n",
                 (long long)units_seconds_up(partition->end_ns - partition->start_ns));
    return 0;
}

SHOW(remaining)
{
    PARTITION_OR_GONE(tree, node);
    int64_t left_ns = partition->end_ns - waits_from_ns(tree, partition);
    if (!partition_holds(partition)) /* until it is resumed */
        left_ns = 0;
    strbuf_print(out, "%lld\n", (long long)units_seconds_up(left_ns));
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

/* The files that `summary` repeats: those of partition.def and `creator`, the first ones. */
enum {
    SUMMARY_FILES = 1
#define ATTRIBUTE(...) +1
#define SHOWN(...)     +1
#include "core/engine/partition.def"
};

SHOW(summary)
{
    PARTITION_OR_GONE(tree, node);
    int r = 0;
    for (size_t i = 0; i < SUMMARY_FILES && !r; i++) {
        const struct file_row *row = &files_partition[i];
        const struct node file = {
            .dir = DIR_PARTITION, .object = node->object, .file = tree->hashes[DIR_PARTITION][i]};
        strbuf_print(out, "%s=", row->name);
        r = row->show(tree, &file, uid, out);
    }
    strbuf_print(out, "device_name=%s\n", tree->devices[partition->shares[0].device].name);
    files_shares_summary(tree, partition, out);
    return r;
}

SHOW(env)
{
    PARTITION_OR_GONE(tree, node);
    env_print(tree, partition, out);
    return 0;
}

SHOW(environment)
{
    PARTITION_OR_GONE(tree, node);
    env_print_plain(tree, partition, out);
    return 0;
}

SHOW(procs)
{
    PARTITION_OR_GONE(tree, node);
    const struct snapshot *snapshot = members_find(tree->members, partition->id, INT64_MIN);
    if (snapshot)
        strbuf_add(out, snapshot->pids.data, snapshot->pids.length);
    return 0;
}

SHOW(cgroups)
{
    PARTITION_OR_GONE(tree, node);
    const struct snapshot *snapshot = members_find(tree->members, partition->id, INT64_MIN);
    if (snapshot)
        strbuf_add(out, snapshot->cgroups.data, snapshot->cgroups.length);
    return 0;
}

SHOW(enforcement)
{
    PARTITION_OR_GONE(tree, node);
    enforcement_print(tree, partition, out);
    return 0;
}

static const struct event_log *log_events(struct tree *tree, const struct node *node)
{
    const struct partition *partition = tree_partition(tree, node);
    event_log_chain(&tree->events, partition ? partition->change_seq : 0, &tree->chain);
    return &tree->chain;
}

/* -- writing ------------------------------------------------------------------ */

static int store_name(struct tree *tree, struct write *write)
{
    return engine_rename(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                         write->node->object, write->text);
}

void files_end_message(const struct tree *tree, const struct partition *partition,
                       struct refusal *why)
{
    char at[STRBUF_TIME_MAX];
    strbuf_time_short(partition->end_ns + tree->offset_ns, tree_wall_ns(tree), at, sizeof(at));
    snprintf(why->message, sizeof(why->message), "p%llu now ends at %s (%lld seconds left).",
             (unsigned long long)partition->id, at,
             (long long)units_seconds_up(partition->end_ns - waits_from_ns(tree, partition)));
}

/* "7200" sets the remaining time, from the start on if that is to come; "+30m" and "-10m" change
 * it.
 */
static int store_remaining(struct tree *tree, struct write *write)
{
    const struct partition *partition = tree_partition(tree, write->node);
    char sign = write->text[0];
    size_t skip = sign == '+' || sign == '-';
    int64_t duration_ns;
    if (!strcmp(write->text, "0"))
        return files_suspend_store(tree, write);
    if (partition->state == PARTITION_SUSPENDED || files_suspend_waits(write))
        return files_suspend_store_resume(tree, write);
    int r = units_parse_duration(write->text + skip, write->length - skip, &duration_ns,
                                 write->why.message, sizeof(write->why.message));
    if (r)
        return r;
    int64_t end_ns = sign == '+'   ? partition->end_ns + duration_ns
                     : sign == '-' ? partition->end_ns - duration_ns
                                   : waits_from_ns(tree, partition) + duration_ns;
    r = engine_set_end(tree->engine, TREE_CALL(tree, &write->caller, &write->why), partition->id,
                       end_ns);
    partition = tree_partition(tree, write->node); /* NULL: it ended now */
    if (!r && partition)
        files_end_message(tree, partition, &write->why);
    return r;
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

static int store_procs(struct tree *tree, struct write *write)
{
    const struct partition *partition = tree_partition(tree, write->node);
    if (!engine_may_act(&write->caller, partition) && !write->caller.by_mode)
        return REFUSED_OWNER;
    int r = waits_check(tree, partition, &write->why);
    return r ? r : files_parse_pid(write);
}

static int store_cgroups(struct tree *tree, struct write *write)
{
    if (!write->caller.root)
        return message_refuse(REFUSED_PERMISSION, write->why.message, sizeof(write->why.message),
                              "Permission denied: only root adds cgroups, which can hold the "
                              "processes of others.");
    int r = waits_check(tree, tree_partition(tree, write->node), &write->why);
    write->join_cgroup = write->text;
    write->outcome = WRITE_JOINS;
    return r;
}

/* -- watching ------------------------------------------------------------------ */

static bool watch_events(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    const struct partition *partition = tree_partition(tree, node);
    *ret_change = partition ? partition->change_seq : 0;
    return partition;
}

static bool watch_start(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    const struct partition *partition = tree_partition(tree, node);
    *ret_change = partition ? (uint64_t)partition->start_ns : 0;
    return partition;
}

/* Wakes readers when `pending` becomes `active`, and `active` becomes `expiring` or back. */
static bool watch_state(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    const struct partition *partition = tree_partition(tree, node);
    *ret_change = partition ? partition->state : 0;
    return partition;
}

#define FIELD(kind, field)                                                                         \
    .show = show_field, .shown = SHOWN_##kind, .offset = offsetof(struct partition, field)
#define LEDGER(kind, field)                                                                        \
    .show = show_usage, .shown = SHOWN_##kind, .offset = offsetof(struct ledger_figures, field)

const struct file_row files_partition[] = {
#define ATTRIBUTE(ID, name, key, json, text, how, field, min, max, kind, number_word, mode, ...)   \
    {#name, mode, FIELD(kind, field), .word = number_word, .doc = text how, .fresh = __VA_ARGS__},
#define SHOWN(ID, name, key, json, text, how, mode, ...)                                           \
    {#name, mode, .doc = text how, .fresh = __VA_ARGS__},
#include "core/engine/partition.def"
    {"creator", 0444, FRESH_ALWAYS, show_creator, .doc = "uid and pid of the creator"},
    {"summary", 0444, FRESH_NEVER, show_summary,
     .doc =
         "the values of the files above and the name of the (first) device as NAME=VALUE, one per "
         "line, all of one moment; with several devices also memory_limit and memory_used of "
         "each, as `gpu0.memory_limit`; it does not ask the driver for use, as memory_used does"},
    {"devices", 0444, FRESH_NEVER, files_shares_show, .live = LIVE_USAGE,
     .doc = "a line for each of its devices: the device, memory limit, memory in use, peak and "
            "charged, in bytes, and the seconds that the device worked for its programs"},
    {"reason", 0444, FRESH_NEVER, files_waits_show_reason, .promises = true,
     .doc = "what it waits for, who stands in the way, and until when, as a message"},
    {"charge", 0666, FRESH_NEVER, LEDGER(NUMBER, charged_bytes), .store = charge_store,
     .lent = true, .opened = charge_open, .guests = true,
     .doc =
         "bytes that programs have charged; write `+4096` to charge that many to this open file, "
         "`-4096` to release them; with several devices `+4096 gpu1`: an open file charges one; "
         "`mark "
         "ipc`, `mark managed` and `mark multicast` say what keeps the program from being "
         "suspended"},
    {"uuid", 0444, FRESH_ALWAYS, files_compute_show_uuid,
     .doc = "UUIDs of its devices, as its programs see them, with commas between"},
    {"gpu_time", 0444, FRESH_NEVER, LEDGER(BUSY_TIME, busy_ns), .live = LIVE_USAGE,
     .doc = "seconds that the device worked for its programs, if the driver reports it"},
    {"env", 0444, FRESH_NEVER, show_env,
     .doc =
         "lines for a shell: `( . env && PROGRAM )` runs a program inside the partition; the shell "
         "that reads them ends with it"},
    {"environment", 0444, FRESH_NEVER, show_environment,
     .doc = "the variables of `env` as NAME=VALUE, one per line: for `docker run --env-file`, "
            "`EnvironmentFile=` of systemd, and programs; it does not join"},
    {"procs", 0666, FRESH_NEVER, show_procs, .store = store_procs, .live = LIVE_MEMBERS,
     .opened = files_members_open, .guests = true,
     .doc = "pids of its processes, children included; write the pid of one of yours to add it, 0 "
            "for the writing process"},
    {"cgroups", 0644, FRESH_NEVER, show_cgroups, .store = store_cgroups, .live = LIVE_MEMBERS,
     .roots = true,
     .doc = "cgroups that belong to it, one per line; root writes the path of one that exists: its "
            "processes belong without being moved"},
    {"members", 0644, FRESH_NEVER, files_members_show, .store = files_members_store, .owners = true,
     .doc = "users who may use it besides those that the mode lets in, one per line; write `+bob` "
            "to let bob in, `-bob` to take them out, or several with blanks between"},
    {"enforcement", 0444, FRESH_NEVER, show_enforcement, .live = LIVE_USAGE,
     .doc = "what enforces each limit, now"},
    {"events", 0444, FRESH_NEVER, .log = log_events, .watch = watch_events,
     .doc = "the latest events about it, one per line"},
    {0},
};
