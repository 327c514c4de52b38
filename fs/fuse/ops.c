/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the kernel that only ask. Everything is decided first and answered
 * once, at once. Directories are in listing.c, polls in polling.c, and what changes
 * something in writes.c.
 */
#include "fs/tree/caller.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct server *ops_server(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

int ops_errno(int result)
{
    switch (result) {
    case REFUSED_INVALID:
        return EINVAL;
    case REFUSED_NO_SPACE:
        return ENOSPC;
    case REFUSED_QUOTA:
        return EDQUOT;
    case REFUSED_PERMISSION:
        return EPERM;
    case REFUSED_BUSY:
        return EBUSY;
    case REFUSED_GONE:
        return ENODEV;
    default:
        return result < 0 ? -result : EIO;
    }
}

static struct timespec timespec_of(int64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_SECOND),
                          .tv_nsec = (long)(ns % NS_PER_SECOND)};
    if (ts.tv_nsec < 0) {
        ts.tv_nsec += (long)NS_PER_SECOND;
        ts.tv_sec--;
    }
    return ts;
}

void ops_stat(const struct attributes *attributes, struct stat *ret_stat)
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
    ret_stat->st_mtim = timespec_of(attributes->mtime_ns);
    ret_stat->st_atim = ret_stat->st_mtim;
    ret_stat->st_ctim = timespec_of(attributes->ctime_ns);
}

struct server *ops_enter(fuse_req_t req, fuse_ino_t ino, struct node *ret_node)
{
    struct server *server = ops_server(req);
    submit_tick(server);
    if (tree_node_from_id(ino, ret_node))
        return server;
    fuse_reply_err(req, ENOENT);
    return NULL;
}

int ops_fill_entry(struct server *server, const struct node *node, uint32_t uid,
                   struct fuse_entry_param *entry)
{
    struct attributes attributes;
    int r = tree_attributes(&server->tree, node, uid, &attributes);
    if (r)
        return r;
    memset(entry, 0, sizeof(*entry));
    entry->ino = attributes.id;
    entry->generation = 1;
    entry->attr_timeout = attributes.attr_timeout_s;
    entry->entry_timeout = attributes.entry_timeout_s;
    ops_stat(&attributes, &entry->attr);
    return 0;
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    /* truncation comes with the open; nothing is read ahead, written back or spliced */
    conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                                   FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
    conn->max_write = LINK_WRITE_MAX;
    /* Whoever writes waits for us: who it is, is looked up by its pid (caller.c). */
    conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA);
}

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct node dir, child;
    struct fuse_entry_param entry;
    struct server *server = ops_enter(req, parent, &dir);
    if (!server)
        return;
    int r = -ENOENT;
    if (tree_lookup(&server->tree, &dir, name, &child))
        r = ops_fill_entry(server, &child, fuse_req_ctx(req)->uid, &entry);
    if (r)
        fuse_reply_err(req, r == -ENODEV ? ENOENT : -r);
    else
        fuse_reply_entry(req, &entry);
}

/* Nothing is kept for a node, so there is nothing to forget. */
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

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct node node;
    struct attributes attributes;
    struct stat st;
    struct server *server = ops_enter(req, ino, &node);
    if (!server || deferred_add(server, LATER_GETATTR, req, &node, ino, 0, NULL))
        return;
    int r = tree_attributes(&server->tree, &node, fuse_req_ctx(req)->uid, &attributes);
    if (r) {
        fuse_reply_err(req, -r);
        return;
    }
    ops_stat(&attributes, &st);
    fuse_reply_attr(req, &st, attributes.attr_timeout_s);
}

static void ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct node node;
    struct server *server = ops_enter(req, ino, &node);
    if (!server)
        return;
    const struct partition *partition = tree_partition(&server->tree, &node);
    if (!partition || !node.link) {
        fuse_reply_err(req, partition ? EINVAL : ENOENT);
        return;
    }
    char target[64];
    tree_link_target(partition, target, sizeof(target));
    fuse_reply_readlink(req, target);
}

/* Each read and write is asked for (direct_io), and a write does not keep others
 * from writing: a caller whose memory comes slowly would hold `new` for everybody
 * (kernel 6.2; libfuse 3.14 has no name for it yet). */
static int reply_open(fuse_req_t req, uint64_t fh)
{
    struct fuse_open_out out = {.fh = fh,
                                .open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};
    return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/* Keeps what must be known of an opener when it writes. */
static void note_writer(fuse_req_t req, const struct file_row *row, const struct node *node,
                        struct tree *tree, struct shared_handle *handle)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    if (row->opened) {
        struct caller opener;
        caller_get(tree, ctx->uid, ctx->gid, ctx->pid, &opener);
        row->opened(tree, node, &opener, handle);
    } else if (ctx->uid == 0) {
        handle->ns = caller_namespace(ctx->pid);
    }
}

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node node;
    struct server *server = ops_enter(req, ino, &node);
    if (!server || ((fi->flags & O_ACCMODE) != O_WRONLY &&
                    deferred_add(server, LATER_OPEN, req, &node, ino, 0, fi)))
        return;
    struct tree *tree = &server->tree;
    const struct file_row *row = tree_row(&node);
    int r = 0;
    if (!row || !tree_alive(tree, &node))
        r = -ENODEV;
    else if ((fi->flags & O_ACCMODE) != O_RDONLY && !row->store)
        r = -EACCES; /* root's too: there is nothing to write */
    if (!r)
        r = handles_take(&tree->handles, ino, fuse_req_ctx(req)->uid, &fi->fh);
    if (r) {
        fuse_reply_err(req, -r);
        return;
    }
    struct shared_handle *handle = handles_get(&tree->handles, fi->fh);
    if ((fi->flags & O_ACCMODE) != O_RDONLY)
        note_writer(req, row, &node, tree, handle);
    if (row->watch)
        row->watch(tree, &node, &handle->seen);
    if (reply_open(req, fi->fh) == -ENOENT)
        handles_release(&tree->handles, fi->fh); /* the caller was killed meanwhile */
}

/* The read after the write of a request gives the id, whatever the offset: the
 * cursor is the file's, and ends after the id. */
static void read_answer(fuse_req_t req, struct shared_handle *handle, size_t size)
{
    char text[32] = "";
    size_t length = 0;
    if (handle->answer)
        length =
            (size_t)snprintf(text, sizeof(text), "p%llu\n", (unsigned long long)handle->answer - 1);
    size_t from = handle->seen < length ? (size_t)handle->seen : length;
    size_t n = length - from < size ? length - from : size;
    handle->seen = from + n;
    fuse_reply_buf(req, text + from, n);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct node node;
    struct server *server = ops_enter(req, ino, &node);
    if (!server || (!offset && deferred_add(server, LATER_READ, req, &node, ino, size, fi)))
        return;
    struct tree *tree = &server->tree;
    const struct file_row *row = tree_row(&node);
    struct shared_handle *handle = handles_get(&tree->handles, fi->fh);
    if (!handle || !row || !tree_alive(tree, &node)) {
        fuse_reply_err(req, handle ? ENODEV : EBADF);
        return;
    }
    if (row->keeps_mode && (fi->flags & O_ACCMODE) == O_RDWR) {
        read_answer(req, handle, size);
        return;
    }
    int r = tree_show(tree, &node, fuse_req_ctx(req)->uid);
    if (r) {
        fuse_reply_err(req, -r);
        return;
    }
    if (row->watch)
        row->watch(tree, &node, &handle->seen);
    size_t length = tree->shown->length;
    size_t from = (uint64_t)offset < length ? (size_t)offset : length;
    size_t n = length - from < size ? length - from : size;
    fuse_reply_buf(req, n ? tree->shown->data + from : "", n);
}

/* -- the rest ---------------------------------------------------------------------- */

static void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
    enum { BLOCK = 4096, IDS = 1000000 };
    struct node node;
    struct space space;
    struct server *server = ops_enter(req, ino, &node);
    if (!server)
        return;
    tree_space(&server->tree, &node, &space);
    struct statvfs st = {.f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = PARTITION_NAME_MAX};
    st.f_blocks = space.total_bytes / BLOCK;
    st.f_bfree = st.f_bavail = space.free_bytes / BLOCK;
    st.f_files = space.partitions + IDS; /* ids do not run out: room is always shown */
    st.f_ffree = st.f_favail = IDS;
    fuse_reply_statfs(req, &st);
}

/* The kernel lets users try in a directory with mode 1777; the answer is no. */
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

/* No flush (it would cost a round trip at every close) and no xattr handlers (one
 * at every open, and ACLs that are not enforced). */
const struct fuse_lowlevel_ops server_ops = {
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
    .read = ops_read,
    .write = write_data,
    .release = write_release,
    .opendir = listing_open,
    .readdir = listing_read,
    .readdirplus = listing_read_plus,
    .statfs = ops_statfs,
    .poll = poll_request,
};
