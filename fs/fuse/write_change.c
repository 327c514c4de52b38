/* SPDX-License-Identifier: Apache-2.0 */
/* What a setattr of the kernel asks for, and what it did; see write_change.h. */
#include "write_change.h"
#include "committer.h" /* the version of libfuse */

#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "fs/tree/files.h"
#include "fs/tree/names.h"

#include <stdio.h>

/* Clamp the time: far past and far future are the same to a partition. */
static int64_t wall_ns(const struct timespec *ts)
{
    const int64_t limit_s = INT64_C(7000000000); /* leaves room for the clocks' difference */
    int64_t s = ts->tv_sec < -limit_s ? -limit_s : ts->tv_sec > limit_s ? limit_s : ts->tv_sec;
    return s * NS_PER_SECOND + ts->tv_nsec;
}

struct attribute_change write_change_read(const struct stat *attr, int to_set)
{
    struct attribute_change change = {.set_mode = to_set & FUSE_SET_ATTR_MODE,
                                      .set_uid = to_set & FUSE_SET_ATTR_UID,
                                      .set_gid = to_set & FUSE_SET_ATTR_GID,
                                      /* O_TRUNC also sets mtime; ignore that. */
                                      .set_mtime = (to_set & FUSE_SET_ATTR_MTIME) &&
                                                   !(to_set & FUSE_SET_ATTR_SIZE),
                                      .mode = attr->st_mode,
                                      .uid = attr->st_uid,
                                      .gid = attr->st_gid,
                                      .mtime_ns = wall_ns(&attr->st_mtim)};
    return change;
}

void write_change_message(struct tree *tree, const struct node *node, const struct attributes *a,
                          const struct attribute_change *change, struct refusal *why)
{
    const struct partition *partition = tree_partition(tree, node);
    const struct file_row *row = tree_row(tree, node);
    char name[64] = "";
    if (partition)
        snprintf(name, sizeof(name), "p%llu", (unsigned long long)partition->id);
    else if (row)
        snprintf(name, sizeof(name), "%s", row->name);
    if (change->set_mode)
        snprintf(why->message, sizeof(why->message), "%s: mode is %04o now.", name,
                 (unsigned)(a->mode & 0777));
    else if (change->set_uid || change->set_gid)
        snprintf(why->message, sizeof(why->message), "%s: owner is %s, group is %u now.", name,
                 names_user(tree->names, a->uid), (unsigned)a->gid);
    else if (change->set_mtime && partition)
        files_end_message(tree, partition, why);
}
