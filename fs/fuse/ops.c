/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only requests of the kernel, and the table of all handlers; listing.c and write.c have the
 * others.
 */
#include "fs/tree/caller.h"
#include "fs/tree/charge.h"
#include "fs/tree/names.h"
#include "fs/tree/own.h"
#include "fs/tree/status.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    /* Truncate in the open itself; no write-back cache, no splicing. */
    conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                                   FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
    conn->max_write = SESSION_WRITE_MAX;
    /* Writes must be synchronous: caller.c looks up the writer by its pid. */
    conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA);
}

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct query query;
    if (!reply_enter(req, parent, &query))
        return;
    struct node child;
    struct fuse_entry_param entry;
    int r = -ENOENT;
    if (tree_lookup(&query.server->tree, &query.node, name, &child)) {
        covered_look(query.server, &child);
        own_take(&query.server->tree, fuse_req_ctx(req)->uid, &child);
        r = reply_fill_entry(&query, &child, false, &entry);
    }
    if (r)
        reply_error(req, r == -ENODEV ? -ENOENT : r);
    else
        fuse_reply_entry(req, &entry);
}

/* Nodes have no state, so there is nothing to forget. */
static void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    (void)ino;
    (void)count;
    fuse_reply_none(req);
}

static void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    (void)count;
    (void)forgets;
    fuse_reply_none(req);
}

static void answer_getattr(const struct query *query)
{
    struct attributes attributes;
    struct stat st;
    int r = tree_attributes(&query->server->tree, &query->node, fuse_req_ctx(query->req)->uid,
                            &attributes);
    if (r) {
        reply_error(query->req, r);
        return;
    }
    reply_stat(&attributes, &st);
    reply_note_cached(query, &query->node, attributes.attr_timeout_s);
    fuse_reply_attr(query->req, &st, attributes.attr_timeout_s);
}

static void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct query query;
    if (reply_enter(req, ino, &query) && !pending_read(&query, answer_getattr))
        answer_getattr(&query);
}

static void ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct query query;
    if (!reply_enter(req, ino, &query))
        return;
    const struct partition *partition = tree_partition(&query.server->tree, &query.node);
    if (!partition || !query.node.link) {
        fuse_reply_err(req, partition ? EINVAL : ENOENT);
        return;
    }
    char target[64];
    tree_link_target(partition, target, sizeof(target));
    fuse_reply_readlink(req, target);
}

#ifndef FOPEN_PARALLEL_DIRECT_WRITES /* older headers; kernels before 6.2 ignore it */
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

/* Bypass the page cache (direct_io), and let writes run in parallel: a writer whose pages fault in
 * slowly would otherwise block `new` for all users (kernel 6.2; libfuse 3.14 has no name for the
 * flag yet). */
static int reply_open(fuse_req_t req, uint64_t fh)
{
    struct fuse_open_out out = {.fh = fh,
                                .open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};
    return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/* Record what a later write needs to know about the opener. 0, -errno, or 1 if the host thread must
 * be asked. */
static int note_writer(const struct query *query, struct shared_handle *handle)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(query->req);
    int r = 0;
    if (query->row->opened) {
        struct caller opener;
        caller_get(&query->server->tree, ctx->uid, ctx->gid, ctx->pid, &opener);
        r = query->row->opened(&query->server->tree, &query->node, &opener, handle);
        handle->opener_member = r == 1 && query->belongs;
    }
    if (!query->row->lent && ctx->uid == 0)
        handle->ns = caller_namespace(ctx->pid);
    return r == 1 && query->belongs ? 0 : r;
}

/* Say in `status` who can let the caller in. */
static void refuse_open(const struct query *query)
{
    const struct partition *partition = tree_partition(&query->server->tree, &query->node);
    const struct fuse_ctx *ctx = fuse_req_ctx(query->req);
    const struct status_writer writer = {.uid = ctx->uid, .tid = ctx->pid};
    char text[ENGINE_MESSAGE_MAX] = "";
    if (partition)
        snprintf(text, sizeof(text),
                 "Permission denied: p%llu is owned by %s, who can let you in (members).",
                 (unsigned long long)partition->id,
                 names_user(query->server->tree.names, partition->uid));
    reply_refusal(query->server, query->req, &writer, -EACCES, text);
}

static pending_asked_fn answer_open_asked;

static void answer_open(const struct query *query)
{
    struct tree *tree = &query->server->tree;
    struct handles *handles = &query->server->handles;
    const struct file_row *row = query->row;
    const struct node *node = &query->node;
    const bool writes = (query->fi->flags & O_ACCMODE) != O_RDONLY;
    uint64_t fh;
    int r = 0;
    if (!row || !tree_alive(tree, node))
        r = -ENODEV;
    else if (writes && !row->store)
        r = -EACCES; /* for root too, which passes the mode check */
    else if (row->backup && !backup_is_permitted(query))
        r = -EACCES;
    if (!r)
        r = handles_take(handles, tree_node_id(node), fuse_req_ctx(query->req)->uid, &fh);
    if (r) {
        reply_error(query->req, r);
        return;
    }
    struct shared_handle *handle = handles_get(handles, fh);
    if (writes)
        r = note_writer(query, handle);
    if (writes && !r && own_is_elsewhere(tree, node, fuse_req_ctx(query->req)->uid))
        r = -ESTALE;
    if (r) {
        charge_close(tree, handle);
        handles_release(handles, fh);
        if (r == 1)
            r = pending_ask(query, NULL, answer_open_asked);
        if (r == -EACCES)
            refuse_open(query);
        else if (r)
            reply_error(query->req, r);
        return;
    }
    if (row->watch)
        row->watch(tree, node, &handle->seen);
    if (reply_open(query->req, fh) == -ENOENT) { /* the caller was killed before it got this */
        charge_close(tree, handle);
        handles_release(handles, fh);
    }
}

static void answer_open_asked(const struct query *query, const char *data)
{
    (void)data;
    answer_open(query);
}

static void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct query query;
    if (!reply_enter(req, ino, &query))
        return;
    query.fi = fi;
    answer_open(&query);
}

/* -- the rest ---------------------------------------------------------------------- */

static void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                     struct fuse_pollhandle *ph)
{
    struct query query;
    bool known = reply_enter(req, ino, &query);
    if (ph)
        fuse_pollhandle_destroy(ph); /* the slot keeps the kernel's own handle instead */
    if (!known)
        return;
    struct server *server = query.server;
    struct shared_handle *handle = handles_get(&server->handles, fi->fh);
    if (!handle) {
        fuse_reply_err(req, EBADF);
        return;
    }
    int r = 0;
    if (ph)
        r = handles_poll(&server->handles, fi->fh, session_current(server->session)->poll_kh);
    if (r)
        reply_error(req, r);
    else
        fuse_reply_poll(req, poll_find(&server->tree, &query.node, query.row, handle));
}

static void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
    enum { BLOCK = 4096, IDS = 1000000 };
    struct query query;
    struct space space;
    if (!reply_enter(req, ino, &query))
        return;
    if (!tree_alive(&query.server->tree, &query.node)) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    tree_space(&query.server->tree, &query.node, &space);
    struct statvfs st = {.f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = PARTITION_NAME_MAX};
    st.f_blocks = space.total_bytes / BLOCK;
    st.f_bfree = st.f_bavail = space.free_bytes / BLOCK;
    st.f_files = space.partitions + IDS; /* ids never run out: always show free inodes */
    st.f_ffree = st.f_favail = IDS;
    fuse_reply_statfs(req, &st);
}

/* The kernel allows attempts in a directory with mode 1777; refuse them here. */
static void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)rdev;
    fuse_reply_err(req, EPERM);
}

static void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    ops_mknod(req, parent, name, mode, 0);
}

static void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                       struct fuse_file_info *fi)
{
    (void)fi;
    ops_mknod(req, parent, name, mode, 0);
}

static void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)target;
    ops_mknod(req, parent, name, 0, 0);
}

static void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    (void)ino;
    ops_mknod(req, parent, name, 0, 0);
}

static void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                       const char *new_name, unsigned flags)
{
    (void)new_parent;
    (void)new_name;
    (void)flags;
    ops_mknod(req, parent, name, 0, 0);
}

/* No flush handler (a round trip at every close) and no xattr handlers (one at every open, for ACLs
 * that would not be enforced). */
const struct fuse_lowlevel_ops ops_table = {
    .init = ops_init,
    .lookup = ops_lookup,
    .forget = ops_forget,
    .forget_multi = ops_forget_multi,
    .getattr = ops_getattr,
    .setattr = write_attributes,
    .readlink = ops_readlink,
    .mknod = ops_mknod,
    .mkdir = ops_mkdir,
    .unlink = write_unlink,
    .rmdir = write_rmdir,
    .symlink = ops_symlink,
    .rename = ops_rename,
    .link = ops_link,
    .create = ops_create,
    .open = ops_open,
    .read = read_file,
    .write = write_line,
    .release = write_close,
    .opendir = listing_open,
    .readdir = listing_read,
    .readdirplus = listing_read_plus,
    .statfs = ops_statfs,
    .poll = ops_poll,
};
