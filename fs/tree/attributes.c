/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stat shows and what chmod, chown and touch change. Owner and mode are real permissions: the
 * kernel checks them. See tree.h.
 */
#include "caller.h"
#include "core/gpu/gpu.h"
#include "files.h"
#include "waits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Cache timeout of nodes that never change. */
#define STATIC_TIMEOUT_S 3600.0
/* Cache timeout of the attributes of users' own nodes; every open asks for them anyway. */
#define OWN_TIMEOUT_S 1.0
/* Cache timeout of the name `partitions`: how long something that a user mounted over it can stay
 * unnoticed. */
#define COVERED_TIMEOUT_S 1.0
/* The longest cache timeout of the attributes of a partition, its link and its files: what the
 * kernel may have is remembered for little longer, and mtime follows the wall clock, which can be
 * set at any moment. */
#define PARTITION_TIMEOUT_S 10.0
/* The kernel counts in ticks and from the arrival of the answer: let cache entries expire this long
 * before the end of their partition. */
#define EXPIRY_MARGIN_NS (20 * INT64_C(1000000))

/* Build the key of the setting that keeps the mode of a file. */
static void mode_key(struct tree *tree, const struct node *node, const struct file_row *row,
                     char key[ENGINE_KEY_MAX])
{
    const char *device = node->dir == DIR_DEVICE ? tree->devices[node->object].key : "";
    snprintf(key, ENGINE_KEY_MAX, "mode/%.160s/%.16s", device, row->name);
}

int tree_show(struct tree *tree, const struct node *node, uint32_t uid)
{
    const struct file_row *row = tree_row(tree, node);
    if (!row)
        return -ENOENT;
    if (row->log) {
        tree->shown = &row->log(tree, node)->text;
        return 0;
    }
    tree->shown = &tree->scratch;
    strbuf_clear(&tree->scratch);
    int r = row->show(tree, node, uid, &tree->scratch);
    return r ? r : tree->scratch.failed ? -ENOMEM : 0;
}

/* Return the cache timeout, in seconds, of a node that ends at end_ns. */
static double life_left_s(const struct tree *tree, int64_t end_ns)
{
    int64_t left = end_ns - tree->now_ns - EXPIRY_MARGIN_NS;
    if (left <= 0)
        return 0;
    double seconds = (double)left / (double)NS_PER_SECOND;
    return seconds < STATIC_TIMEOUT_S ? seconds : STATIC_TIMEOUT_S;
}

/* Return the seconds until the remaining whole seconds lose a digit. */
static double digits_left_s(const struct tree *tree, const struct partition *partition)
{
    int64_t left = units_seconds_up(partition->end_ns - waits_from_ns(tree, partition)), power = 1;
    while (power <= left / 10)
        power *= 10;
    return life_left_s(tree, partition->end_ns - (power - 1) * NS_PER_SECOND);
}

static void file_owner(struct tree *tree, const struct node *node, const struct file_row *row,
                       struct attributes *a)
{
    const struct partition *partition = tree_partition(tree, node);
    a->mode = S_IFREG | row->mode;
    if (partition) {
        a->ctime_ns = a->mtime_ns = partition->created_wall_ns;
        /* A file that cannot be set is not the user's: owners can make others' opens wait
         * (F_SETLEASE). */
        if ((row->mode & 0200) && !row->roots) {
            a->uid = partition->uid;
            a->gid = partition->gid;
            a->mode = S_IFREG | 0600 | (partition->mode & (row->owners ? 0044 : 0066));
        }
    } else if (row->own) {
        char key[ENGINE_KEY_MAX];
        unsigned mode, uid, gid;
        mode_key(tree, node, row, key);
        const char *kept = engine_setting(tree->engine, key);
        if (kept && sscanf(kept, "%o %u %u", &mode, &uid, &gid) == 3) {
            a->mode = S_IFREG | (mode & 0777);
            a->uid = uid;
            a->gid = gid;
        }
    } else if ((row->mode & 0222) == 0200 && tree->admin_gid != UINT32_MAX) {
        a->gid = tree->admin_gid; /* administrators may write it */
        a->mode |= (row->mode & 0400) ? 0060 : 0020;
    }
}

static int file_attributes(struct tree *tree, const struct node *node, uint32_t uid,
                           struct attributes *a)
{
    const struct file_row *row = tree_row(tree, node);
    if (!row)
        return -ENOENT;
    file_owner(tree, node, row, a);
    if (row->opened)
        a->mode |= 0222;
    int r = row->size ? 0 : tree_show(tree, node, uid);
    if (r)
        return r;
    a->size = row->size ? row->size(tree, node) : tree->shown->length;
    if (row->own) {
        /* One name for all users, each of whom must find their own node. Nothing can invalidate the
         * nodes of all users, so a change of the mode must reach them in time. */
        a->entry_timeout_s = 0;
        a->attr_timeout_s = OWN_TIMEOUT_S;
    } else if (node->uid) {
        a->entry_timeout_s = a->attr_timeout_s = 0;
    } else if (row->fresh == FRESH_NEVER) {
        a->attr_timeout_s = 0;
    } else if (row->fresh == FRESH_COUNTS_DOWN) {
        a->attr_timeout_s = digits_left_s(tree, tree_partition(tree, node));
    }
    return 0;
}

static void partition_attributes(const struct partition *partition, const struct tree *tree,
                                 const struct node *node, struct attributes *a)
{
    /* The links in directories of devices are not the owner's: in a sticky directory that all may
     * write to, fs.protected_symlinks lets others follow only those of the directory's owner. */
    if (!node->share) {
        a->uid = partition->uid;
        a->gid = partition->gid;
    }
    a->mtime_ns = partition->end_ns + tree->offset_ns;
    a->ctime_ns = partition->created_wall_ns;
    if (node->link) {
        char target[64];
        tree_link_target(partition, target, sizeof(target));
        a->mode = S_IFLNK | 0777;
        a->size = strlen(target);
    } else {
        /* Sticky: fusermount3 lets only the owner mount over it. */
        a->mode = S_IFDIR | partition->mode | (partition->mode & 0022 ? S_ISVTX : 0);
        a->blocks = waits_is_pending(partition) || !partition_holds(partition)
                        ? 0
                        : partition_bytes(partition) / 512;
    }
}

int tree_attributes(struct tree *tree, const struct node *node, uint32_t uid,
                    struct attributes *ret_attributes)
{
    struct attributes a = {.id = tree_node_id(node),
                           .uid = tree->shared->admin_uid,
                           .gid = tree->shared->admin_gid,
                           .mtime_ns = tree->shared->started_wall_ns,
                           .ctime_ns = tree->shared->started_wall_ns,
                           .attr_timeout_s = STATIC_TIMEOUT_S,
                           .entry_timeout_s = STATIC_TIMEOUT_S};
    if (!tree_alive(tree, node))
        return node->file && node->dir == DIR_PARTITION ? -ENODEV : -ENOENT;
    const struct partition *partition = tree_partition(tree, node);
    if (partition)
        a.attr_timeout_s = a.entry_timeout_s = life_left_s(tree, partition->end_ns);
    if (node->dir == DIR_USER || node->dir == DIR_GROUP)
        a.attr_timeout_s = a.entry_timeout_s = 0; /* names can get another meaning */
    if (node->file) {
        int r = file_attributes(tree, node, uid, &a);
        if (r)
            return r;
    } else if (partition) {
        partition_attributes(partition, tree, node, &a);
    } else {
        /* Sticky: the kernel lets only owners remove entries. Not where the entries are links: with
         * fs.protected_symlinks, which distributions set, it would let only owners follow them. */
        a.mode = S_IFDIR | (node->dir == DIR_DEVICE       ? 01777
                            : node->dir == DIR_PARTITIONS ? 0777
                                                          : 0755);
        if (node->dir == DIR_PARTITIONS)
            a.entry_timeout_s = node->uid ? 0 : COVERED_TIMEOUT_S;
    }
    if (partition && a.attr_timeout_s > PARTITION_TIMEOUT_S)
        a.attr_timeout_s = PARTITION_TIMEOUT_S;
    *ret_attributes = a;
    return 0;
}

uint32_t tree_owner(struct tree *tree, const struct node *node)
{
    struct attributes a = {.uid = tree->shared->admin_uid};
    file_owner(tree, node, tree_row(tree, node), &a);
    return a.uid;
}

static bool may_write(struct tree *tree, const struct node *node, const struct caller *caller,
                      struct caller_groups *groups)
{
    struct attributes a = {0};
    const struct file_row *row = tree_row(tree, node);
    if (caller->root || !row)
        return true;
    /* Root of a container has the uid of no guest. */
    if (row->guests && caller->uid != 0 &&
        guests_has(engine_guests(tree->engine, node->object), caller->uid))
        return true;
    a.uid = tree->shared->admin_uid;
    a.gid = tree->shared->admin_gid;
    file_owner(tree, node, row, &a);
    if (a.uid == caller->uid)
        return a.mode & 0200;
    /* Look up the caller's groups only where group and others differ. */
    if (!(a.mode & 0020) == !(a.mode & 0002))
        return a.mode & 0002;
    return a.mode & (caller_groups_have(tree, groups, a.gid) ? 0020 : 0002);
}

bool tree_may_write(struct tree *tree, const struct node *node, const struct caller *caller)
{
    struct caller_groups groups = {.pid = caller->pid, .gid = caller->gid};
    bool may = may_write(tree, node, caller, &groups);
    caller_groups_release(&groups);
    return may;
}

void tree_find_barred(struct tree *tree, const struct caller *caller, bool *ret_barred)
{
    struct caller_groups groups = {.pid = caller->pid, .gid = caller->gid};
    struct node new = {.dir = DIR_DEVICE, .file = tree_node_hash("new")};
    for (; new.object < tree->device_count; new.object++)
        ret_barred[new.object] = !may_write(tree, &new, caller, &groups);
    caller_groups_release(&groups);
}

void tree_space(struct tree *tree, const struct node *node, struct space *ret_space)
{
    struct space space = {0};
    const struct partition *partition = tree_partition(tree, node);
    for (uint32_t i = 0; i < tree->device_count; i++) {
        bool counts = partition ? tree_partition_is_on(partition, i)
                                : node->dir != DIR_DEVICE || i == node->object;
        if (!counts)
            continue;
        space.total_bytes += engine_device(tree->engine, i)->memory_bytes;
        space.free_bytes += engine_available(tree->engine, i, tree->now_ns);
        space.partitions += engine_device_partitions(tree->engine, i);
    }
    *ret_space = space;
}

/* -- changing --------------------------------------------------------------- */

/* Convert the wall clock time of a touch to engine time. */
static int change_end(struct tree *tree, const struct caller *caller, uint64_t id, int64_t wall_ns,
                      struct refusal *why)
{
    return engine_set_end(tree->engine, TREE_CALL(tree, caller, why), id,
                          wall_ns - tree->offset_ns);
}

static int change_partition(struct tree *tree, const struct partition *partition,
                            const struct caller *caller, const struct attribute_change *change,
                            struct refusal *why)
{
    uint64_t id = partition->id;
    if (change->set_mtime) {
        int r = change_end(tree, caller, id, change->mtime_ns, why);
        if (r)
            return r;
        if (!change->set_mode && !change->set_uid && !change->set_gid)
            return 0;
    }
    return engine_hand_over(tree->engine, TREE_CALL(tree, caller, why), id,
                            change->set_uid ? change->uid : partition->uid,
                            change->set_gid ? change->gid : partition->gid,
                            change->set_mode ? change->mode & 0777 : partition->mode);
}

static int change_kept_mode(struct tree *tree, const struct node *node, const struct caller *caller,
                            const struct attribute_change *change, struct refusal *why)
{
    const struct file_row *row = tree_row(tree, node);
    struct attributes a;
    int r = tree_attributes(tree, node, caller->uid, &a);
    if (r)
        return r;
    char key[ENGINE_KEY_MAX], value[ENGINE_VALUE_MAX];
    mode_key(tree, node, row, key);
    snprintf(value, sizeof(value), "%04o %u %u",
             (unsigned)(change->set_mode ? change->mode & 0777 : a.mode & 0777),
             (unsigned)(change->set_uid ? change->uid : a.uid),
             (unsigned)(change->set_gid ? change->gid : a.gid));
    return engine_set(tree->engine, TREE_CALL(tree, caller, why), key, value);
}

bool tree_change_is_none(const struct attributes *a, const struct attribute_change *change)
{
    return !change->set_mtime &&
           (!change->set_mode || (change->mode & 07777) == (a->mode & 07777)) &&
           (!change->set_uid || change->uid == a->uid) &&
           (!change->set_gid || change->gid == a->gid);
}

int tree_change_attributes(struct tree *tree, const struct node *node, const struct caller *caller,
                           const struct attribute_change *change, struct refusal *why)
{
    const struct file_row *row = tree_row(tree, node);
    const struct partition *partition = tree_partition(tree, node);
    if (partition && !node->file)
        return change_partition(tree, partition, caller, change, why);
    if (!caller->root) {
        snprintf(why->message, sizeof(why->message),
                 "Permission denied: only root can change this.");
        return REFUSED_PERMISSION;
    }
    if (row && row->own && !change->set_mtime)
        return change_kept_mode(tree, node, caller, change, why);
    snprintf(why->message, sizeof(why->message),
             partition ? "The files of p%llu take owner and mode from their directory; change that."
                       : "Owner, mode and time of this cannot be changed.",
             partition ? (unsigned long long)partition->id : 0ULL);
    return REFUSED_PERMISSION;
}
