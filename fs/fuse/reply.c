/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts, answers and refuses requests of the kernel: errors, attributes, text. It must not know
 * what a request does.
 */
#include "core/base/clock.h"
#include "fs/tree/status.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAMED_S 0.1

bool reply_enter(fuse_req_t req, fuse_ino_t ino, struct query *ret_query)
{
    struct query query = {.server = fuse_req_userdata(req), .req = req};
    submit_tick(query.server);
    query.server->tree.reader = fuse_req_ctx(req)->pid;
    query.server->tree.reader_gid = fuse_req_ctx(req)->gid;
    if (!tree_node_from_id(ino, &query.node)) {
        fuse_reply_err(req, ENOENT);
        return false;
    }
    query.row = tree_row(&query.server->tree, &query.node);
    *ret_query = query;
    return true;
}

int reply_errno(int result)
{
    switch (result) {
    case REFUSED_INVALID:
        return EINVAL;
    case REFUSED_NO_SPACE:
        return ENOSPC;
    case REFUSED_QUOTA:
        return EDQUOT;
    case REFUSED_PERMISSION:
    case REFUSED_OWNER:
        return EPERM;
    case REFUSED_BUSY:
        return EBUSY;
    case REFUSED_GONE:
        return ENODEV;
    default:
        return result < 0 ? -result : EIO;
    }
}

void reply_error(fuse_req_t req, int result)
{
    fuse_reply_err(req, reply_errno(result));
}

void reply_refusal(struct server *server, fuse_req_t req, const struct status_writer *writer,
                   int result, const char *message)
{
    int code = reply_errno(result);
    char text[64];
    snprintf(text, sizeof(text), "%s.", strerror(code));
    status_refuse(&server->tree, writer, handles_get(&server->handles, writer->fh),
                  *message ? message : text);
    fuse_reply_err(req, code);
}

void reply_stat(const struct attributes *attributes, struct stat *ret_stat)
{
    memset(ret_stat, 0, sizeof(*ret_stat));
    ret_stat->st_ino = attributes->id;
    ret_stat->st_mode = attributes->mode;
    ret_stat->st_nlink = 1;
    ret_stat->st_uid = attributes->uid;
    ret_stat->st_gid = attributes->gid;
    ret_stat->st_size = (off_t)attributes->size;
    ret_stat->st_blocks = (blkcnt_t)attributes->blocks;
    ret_stat->st_blksize = 4096;
    ret_stat->st_mtim = clock_timespec(attributes->mtime_ns);
    ret_stat->st_atim = ret_stat->st_mtim;
    ret_stat->st_ctim = clock_timespec(attributes->ctime_ns);
}

/* Return how long attributes that come with a name may be cached. An answer that is on its way
 * while invalidate.c invalidates its node can create the kernel's inode a moment later, with these
 * attributes. Those of GETATTR are safe: the kernel compares their age. So a walk to a partition
 * asks for them once more, and a listing, where that would be a request for each line, gives them
 * for a moment. */
static double named_timeout_s(const struct node *node, bool listed, double timeout_s)
{
    bool ends = !node->file && (node->dir == DIR_PARTITION || node->link);
    if (ends && !listed)
        return 0;
    return (ends || node->file) && timeout_s > NAMED_S ? NAMED_S : timeout_s;
}

void reply_note_cached(const struct query *query, const struct node *node, double timeout_s)
{
    if (timeout_s > 0 && (node->dir == DIR_PARTITION || node->link))
        session_note_cached(query->server->session, node);
}

int reply_fill_entry(const struct query *query, const struct node *node, bool listed,
                     struct fuse_entry_param *ret_entry)
{
    struct attributes attributes;
    uint32_t uid = fuse_req_ctx(query->req)->uid;
    int r = tree_attributes(&query->server->tree, node, uid, &attributes);
    if (r)
        return r;
    memset(ret_entry, 0, sizeof(*ret_entry));
    ret_entry->ino = attributes.id;
    ret_entry->generation = 1;
    ret_entry->attr_timeout = named_timeout_s(node, listed, attributes.attr_timeout_s);
    ret_entry->entry_timeout = attributes.entry_timeout_s;
    reply_note_cached(query, node, ret_entry->attr_timeout);
    reply_stat(&attributes, &ret_entry->attr);
    return 0;
}

void reply_text(const struct query *query, const char *text, size_t length)
{
    size_t from = (uint64_t)query->offset < length ? (size_t)query->offset : length;
    size_t n = length - from < query->size ? length - from : query->size;
    fuse_reply_buf(query->req, n ? text + from : "", n);
}
