/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the mount point; see files.h. */
#include "cdi.h"
#include "files.h"
#include "files_new.h"
#include "metrics.h"
#include "status.h"
#include "waits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char readme[] =
    "This is chronosfs: part of a GPU for a limited time, through files.\n"
    "\n"
    "  cat gpu0/available                 per cent of GPU 0 that is free\n"
    "  echo \"0.5 3600\" > gpu0/new         half of its memory for an hour\n"
    "  echo \"20G 1h30m name=train\" > new  20 GiB of any GPU, with a label\n"
    "  echo \"0.5 2h queue\" > new          the same, or wait for it: cat queue\n"
    "  cat status                         result of your last request\n"
    "  ls partitions/                     all partitions (ls -l shows owners)\n"
    "  cat partitions/p1/remaining        seconds left\n"
    "  echo +30m > partitions/p1/remaining  half an hour more, if there is room\n"
    "  ( . gpu0/p1/env && PROGRAM )       run a program inside it, ends with it\n"
    "  echo 4242 > gpu0/p1/procs          or add a running process of yours\n"
    "  echo 4242 > procs                  take it out again, or 0 for this one\n"
    "  cat gpu0/p1/memory_used gpu0/p1/enforcement  usage, and how limits are enforced\n"
    "  rm partitions/p1                   release it\n"
    "\n"
    "In a script, read the id back through the same descriptor:\n"
    "\n"
    "  exec 3<>gpu0/new; echo \"0.5 3600\" >&3; read -r id <&3\n"
    "\n"
    "cat new prints the whole grammar of requests. Owner and mode bits are the\n"
    "access control: chgrp and chmod a partition to share it. When its time is up\n"
    "a partition is removed. The mtime of a partition is the moment it ends.\n"
    "events, history and metrics report what happened; config/ is the policy.\n"
    "The command line does the same: chronos help; chronos run 0.5 1h PROGRAM\n"
    "runs a program in a new partition, and releases it when the program ends.\n";

SHOW(readme)
{
    (void)tree;
    (void)node;
    (void)uid;
    strbuf_add(out, readme, sizeof(readme) - 1);
    return 0;
}

static int store_new(struct tree *tree, struct write *write)
{
    bool barred[TREE_DEVICE_MAX];
    tree_find_barred(tree, &write->caller, barred);
    write->caller.barred = barred;
    int r = files_new_store(tree, write, ENGINE_DEVICE_ANY);
    write->caller.barred = NULL;
    return r;
}

static int store_suggest(struct tree *tree, struct write *write)
{
    bool barred[TREE_DEVICE_MAX];
    tree_find_barred(tree, &write->caller, barred);
    write->caller.barred = barred;
    int r = files_new_store_suggest(tree, write, ENGINE_DEVICE_ANY);
    write->caller.barred = NULL;
    return r;
}

SHOW(status)
{
    (void)node;
    strbuf_print(out, "%s\n", status_get(tree, uid, tree->reader));
    return 0;
}

SHOW(version)
{
    (void)tree;
    (void)node;
    (void)uid;
    strbuf_print(out, "chronosfs %s\n", CHRONOS_VERSION);
    return 0;
}

static const struct event_log *log_events(struct tree *tree, const struct node *node)
{
    (void)node;
    return &tree->events;
}

static const struct event_log *log_history(struct tree *tree, const struct node *node)
{
    (void)node;
    return &tree->history;
}

SHOW(metrics)
{
    (void)node;
    (void)uid;
    metrics_print(tree, out);
    return 0;
}

SHOW(cdi)
{
    (void)node;
    cdi_print(tree, uid, out);
    return 0;
}

SHOW(queue)
{
    (void)node;
    (void)uid;
    waits_print(tree, ENGINE_DEVICE_ANY, out);
    return 0;
}

SHOW(mine)
{
    (void)node;
    files_print_ids(tree, uid, out);
    return 0;
}

SHOW(release)
{
    (void)tree;
    (void)node;
    (void)uid;
    strbuf_print(
        out, "Write ids (p3 p4) to end these partitions: your own, or any as an administrator.\n");
    return 0;
}

SHOW(procs)
{
    (void)tree;
    (void)node;
    (void)uid;
    strbuf_print(out,
                 "Write the pid of one of your processes, 0 for the writing process, to take it "
                 "and its children out of its partition.\n");
    return 0;
}

/* As in cgroup v2, 0 is the writer itself. */
int files_parse_pid(struct write *write)
{
    size_t digits = strspn(write->text, "0123456789");
    long long pid = digits && digits <= 10 ? atoll(write->text) : -1;
    if (pid < 0 || pid > INT32_MAX || write->text[digits]) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "\"%.32s\" is not a pid; write a pid, or 0 for the writing process.", write->text);
        return REFUSED_INVALID;
    }
    write->join_pid = (int32_t)pid;
    write->outcome = WRITE_JOINS;
    return 0;
}

/* A process that leaves outlives the partition, which not every policy lets owners choose. */
static int store_procs(struct tree *tree, struct write *write)
{
    const struct policy *policy = engine_policy(tree->engine);
    char allowed[ENGINE_VALUE_MAX];
    if (!write->caller.admin && !(policy->allowed_on_expiry & 1U << ON_EXPIRY_NONE)) {
        ending_on_expiry_set_text(policy->allowed_on_expiry, allowed, sizeof(allowed));
        snprintf(write->why.message, sizeof(write->why.message),
                 "Permission denied: programs leave a partition only with its end here; "
                 "config/allowed_on_expiry is \"%s\", without none.",
                 allowed);
        return REFUSED_PERMISSION;
    }
    return files_parse_pid(write);
}

/* Return the next id and its length, or NULL after the last. */
static const char *next_id(const char *at, size_t *ret_length)
{
    at += strspn(at, " \t");
    *ret_length = strcspn(at, " \t");
    return *ret_length ? at : NULL;
}

/* Check every id before ending any: all or nothing. */
static int store_release(struct tree *tree, struct write *write)
{
    const struct call *call = TREE_CALL(tree, &write->caller, &write->why);
    const char *at = write->text;
    size_t length, count = 0;
    int r = 0;
    for (; !r && (at = next_id(at, &length)); at += length, count++) {
        uint64_t id = tree_partition_number(at, length);
        r = id ? engine_check_release(tree->engine, call, id) : REFUSED_INVALID;
        if (r == REFUSED_GONE || r == REFUSED_INVALID)
            snprintf(write->why.message, sizeof(write->why.message),
                     "There is no partition \"%.*s\"; nothing was released.",
                     (int)(length < 32 ? length : 32), at);
        else if (r == REFUSED_OWNER) /* the engine knows no names */
            snprintf(write->why.message, sizeof(write->why.message),
                     "Permission denied: p%llu is owned by %s; nothing was released.",
                     (unsigned long long)id,
                     names_user(tree->names, engine_find(tree->engine, id)->uid));
    }
    if (!r && !count) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "Write the ids of the partitions to end, such as p3 p4.");
        return REFUSED_INVALID;
    }
    for (at = write->text; !r && (at = next_id(at, &length)); at += length) {
        uint64_t id = tree_partition_number(at, length);
        if (engine_find(tree->engine, id)) /* not named twice */
            r = engine_release(tree->engine, call, id);
    }
    if (!r)
        snprintf(write->why.message, sizeof(write->why.message), "Released %.200s.", write->text);
    return r;
}

static uint64_t log_change(const struct event_log *log)
{
    return log->count ? log->lines[log->count - 1].seq : 0;
}

static bool watch_events(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    (void)node;
    *ret_change = log_change(&tree->events);
    return true;
}

static bool watch_history(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    (void)node;
    *ret_change = log_change(&tree->history);
    return true;
}

static bool watch_queue(struct tree *tree, const struct node *node, uint64_t *ret_change)
{
    (void)node;
    *ret_change = tree->waits.seq;
    return true;
}

static uint64_t size_unknown(struct tree *tree, const struct node *node)
{
    (void)tree;
    (void)node;
    return 0;
}

const struct file_row files_root[] = {
    {"README", 0444, FRESH_ALWAYS, show_readme, .doc = "how to use this tree, on one screen"},
    {"new", 0666, FRESH_ALWAYS, files_new_show, store_new, .own = true, .plans = true,
     .doc = "write a request for any device, read the id back"},
    {"suggest", 0666, FRESH_ALWAYS, files_new_show_suggest, store_suggest, .own = true,
     .plans = true, .shows = true,
     .doc = "write a request for any device, read back what would be accepted now in its place: "
            "requests for `new`, one per line, and a message"},
    {"procs", 0666, FRESH_ALWAYS, show_procs, store_procs, .own = true,
     .doc = "write the pid of one of your processes, 0 for the writing process, to take it and its "
            "children out of its partitions"},
    {"status", 0444, FRESH_NEVER, show_status,
     .doc = "result of the last write of the reading thread or, if it has not written, of its "
            "user; as a "
            "message"},
    {"version", 0444, FRESH_ALWAYS, show_version, .doc = "the running version"},
    {"events", 0444, FRESH_NEVER, .log = log_events, .watch = watch_events,
     .doc = "the latest events, one per line; poll reports new ones"},
    {"history", 0444, FRESH_NEVER, .log = log_history, .watch = watch_history,
     .doc =
         "the latest partitions that ended, one per line: owner, share, times, and how it ended"},
    {"queue", 0444, FRESH_NEVER, show_queue, .watch = watch_queue, .promises = true,
     .doc = "partitions that wait for their start, on all devices, as in `gpuN/queue`"},
    {"mine", 0444, FRESH_NEVER, show_mine,
     .doc = "ids of the reader's own partitions, one per line"},
    {"metrics", 0444, FRESH_NEVER, show_metrics, .doc = "OpenMetrics text"},
    {"cdi", 0444, FRESH_NEVER, show_cdi,
     .doc = "partitions that the reader may use, as devices of containers: a specification of the "
            "Container Device Interface; `chronos cdi install` lets podman and docker find it"},
    {"release", 0666, FRESH_ALWAYS, show_release, store_release, .own = true,
     .doc = "write ids (`p3 p4`) to end these partitions, all or none: your own, or, as an "
            "administrator, any"},
    {"backup", 0400, FRESH_ALWAYS, .size = size_unknown, .backup = true,
     .doc = "root: a backup of the state, made as it is read; `chronos backup` and `chronosfs "
            "--restore` use it"},
    {0},
};
