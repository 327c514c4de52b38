/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the kernel that change something. Each is decided at once; its answer is sent when
 * the change is durable. If a worker dies after a change is durable and before it is answered, the
 * next one answers the request from the stored reply.
 *
 * A write of a line: check that this caller may write here (write_check_writer) and that it is one
 * line (write_check_line), execute it (the row's `store`), and answer as the outcome says
 * (run_write).
 */
#include "core/base/log.h"
#include "fs/tree/caller.h"
#include "fs/tree/charge.h"
#include "fs/tree/names.h"
#include "fs/tree/status.h"
#include "server.h"
#include "write_change.h"
#include "write_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A request that changes something, and its caller. */
struct request_context {
    struct server *server;
    fuse_req_t req;
    uint64_t unique;
    bool again;
    struct caller caller;
    struct status_writer writer;
};

static struct request_context begin_unseen(fuse_req_t req)
{
    struct server *server = fuse_req_userdata(req);
    const struct session_request *current = session_current(server->session);
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct request_context context = {.server = server,
                                      .req = req,
                                      .unique = current->unique,
                                      .again = current->again,
                                      .caller = {.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid},
                                      .writer = {.uid = ctx->uid, .tid = ctx->pid}};
    submit_tick(server);
    return context;
}

/* Also looks up the caller. */
static struct request_context begin(fuse_req_t req)
{
    struct request_context context = begin_unseen(req);
    const struct caller *caller = &context.caller;
    caller_get(&context.server->tree, caller->uid, caller->gid, caller->pid, &context.caller);
    return context;
}

/* Return the stored reply to a request that a dead worker has executed, or NULL. */
static const struct store_reply *kept_answer(const struct request_context *context)
{
    const struct server *server = context->server;
    for (size_t i = 0; context->again && i < server->reply_count; i++)
        if (server->replies[i].unique == context->unique)
            return &server->replies[i];
    return NULL;
}

/* What a dead worker has made durable is answered at once: nothing that fails now, this change or
 * another's, may refuse it. */
static void submit(const struct request_context *context, struct change *answer)
{
    answer->reply.req = context->req;
    if (kept_answer(context)) {
        submit_events(context->server, NULL); /* what the time has changed */
        committer_reply(&answer->reply);
        return;
    }
    answer->unique = context->unique;
    answer->uid = context->writer.uid;
    answer->tid = context->writer.tid;
    submit_events(context->server, answer);
}

/* `fh`: the open file that the message can be read back from; 0: none. */
static void refuse(const struct request_context *context, const struct node *node, uint64_t fh,
                   int result, struct refusal *why)
{
    struct server *server = context->server;
    const struct partition *partition = tree_partition(&server->tree, node);
    if (result == REFUSED_OWNER && partition) /* the engine knows no names */
        snprintf(why->message, sizeof(why->message), "Permission denied: p%llu is owned by %s.",
                 (unsigned long long)partition->id, names_user(server->tree.names, partition->uid));
    struct status_writer writer = context->writer;
    writer.fh = fh;
    reply_refusal(server, context->req, &writer, result, why->message);
}

/* -- outcomes ----------------------------------------------------------------- */

/* Report the file's new content, unless the row's `store` has set a message. */
static void write_message(struct tree *tree, const struct file_row *row, struct write *write)
{
    const struct partition *partition = tree_partition(tree, write->node);
    char owner[32] = "";
    if (*write->why.message)
        return;
    if (partition)
        snprintf(owner, sizeof(owner), " of p%llu", (unsigned long long)partition->id);
    int r = tree_show(tree, write->node, write->caller.uid);
    const char *value = r ? write->text : tree->shown->data;
    snprintf(write->why.message, sizeof(write->why.message), "Set %s%s to \"%.*s\".", row->name,
             owner, (int)strcspn(value, "\n"), value);
}

/* -- write -------------------------------------------------------------------- */

/* Execute a line; `line` keeps its text. */
static int store_line(struct server *server, const struct file_row *row, struct write *write,
                      const char *data, size_t size, char line[REQUEST_TEXT_MAX + 1])
{
    int r =
        row && row->lent ? 0 : write_check_writer(&server->tree, write->node, write, write->handle);
    if (!r && (!row || !row->store))
        r = -EACCES;
    if (!r)
        r = write_check_line(data, size, &write->length, &write->why);
    if (r)
        return r;
    memcpy(line, data, write->length);
    line[write->length] = '\0';
    write->text = line;
    return row->store(&server->tree, write);
}

/* Submit a write that succeeded; the answer is sent when it is durable. */
static void commit_write(const struct request_context *context, const struct write *write,
                         size_t size)
{
    if (write->result) {
        status_forget(&context->server->tree, write->handle);
        write->handle->seen = 0;
        write->handle->answer = write->result + 1;
    }
    struct change answer = {.reply = {.kind = REPLY_WRITTEN, .written = size},
                            .result = write->result,
                            .fh = write->result ? write->fh : 0};
    submit(context, &answer);
}

static pending_asked_fn go_on;

static int ask(const struct request_context *context, const struct node *node,
               const struct write *write, const char *data, size_t size)
{
    struct fuse_file_info fi = {.fh = write->fh};
    const struct query query = {.server = context->server,
                                .req = context->req,
                                .unique = context->unique,
                                .node = *node,
                                .size = size,
                                .fi = &fi};
    return pending_ask(&query, data, go_on);
}

/* Let what a write has found be read back, and submit what finishing the plan has moved. */
static void show_written(const struct request_context *context, struct write *write, size_t size)
{
    struct server *server = context->server;
    struct tree *tree = &server->tree;
    uint32_t account = names_account(tree->names, write->handle->uid);
    texts_put(&server->texts, account, write->fh, write->handle->uid, &tree->scratch);
    write->handle->kept = 1;
    write->handle->seen = 0;
    status_forget(tree, write->handle);
    status_set(tree, &context->writer, write->why.message);
    fuse_reply_write(context->req, size);
    submit_events(server, NULL);
    submit_arm_next(server);
}

static void run_write(const struct request_context *context, const struct node *node,
                      const struct file_row *row, struct write *write, const char *data,
                      size_t size)
{
    struct server *server = context->server;
    char line[REQUEST_TEXT_MAX + 1];
    const struct store_reply *kept = kept_answer(context);
    if (kept) {
        write->result = kept->result;
        commit_write(context, write, size);
        return;
    }
    int r = store_line(server, row, write, data, size, line);
    if (!r && write->outcome == WRITE_JOINS)
        r = pending_join(server, context->req, write, size);
    else if (!r && write->outcome == WRITE_ASKS)
        r = ask(context, node, write, data, size);
    if (r) {
        refuse(context, node, row && row->own ? write->fh : 0, r, &write->why);
    } else if (write->outcome == WRITE_SHOWS) {
        show_written(context, write, size);
    } else if (write->outcome == WRITE_AT_ONCE) {
        fuse_reply_write(context->req, size);
        if (write->uses)
            used_note(server, node->object);
        submit_arm_next(server); /* the new usage is due in a minute */
    } else if (write->outcome == WRITE_COMMITS) {
        write_message(&server->tree, row, write);
        status_set(&server->tree, &context->writer, write->why.message);
        commit_write(context, write, size);
    }
}

/* The writer belongs to the partition. */
static void go_on(const struct query *query, const char *data)
{
    struct server *server = query->server;
    const struct fuse_ctx *ctx = fuse_req_ctx(query->req);
    const struct request_context context = {
        .server = server,
        .req = query->req,
        .unique = query->unique,
        .caller = {.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid}};
    struct write write = {.node = &query->node,
                          .caller = context.caller,
                          .handle = handles_get(&server->handles, query->fi->fh),
                          .fh = query->fi->fh,
                          .unique = query->unique,
                          .belongs = true};
    const struct file_row *row = tree_row(&server->tree, &query->node);
    if (write.handle)
        run_write(&context, &query->node, row, &write, data, query->size);
    else
        fuse_reply_err(query->req, EBADF);
}

void write_line(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                struct fuse_file_info *fi)
{
    (void)offset; /* every write is a request of its own, at any offset */
    struct node node;
    if (!tree_node_from_id(ino, &node)) {
        fuse_reply_err(req, EBADF);
        return;
    }
    struct server *server = fuse_req_userdata(req);
    const struct file_row *row = tree_row(&server->tree, &node);
    /* A lent file is judged by its opener; the writer does not matter. */
    struct request_context context = row && row->lent ? begin_unseen(req) : begin(req);
    struct write write = {.node = &node,
                          .caller = context.caller,
                          .handle = handles_get(&server->handles, fi->fh),
                          .fh = fi->fh,
                          .unique = context.unique};
    if (write.handle)
        run_write(&context, &node, row, &write, data, size);
    else
        fuse_reply_err(req, EBADF);
}

/* -- setattr ------------------------------------------------------------------- */

static int apply_change(const struct request_context *context, const struct node *node,
                        struct attribute_change change, int to_set, struct refusal *why)
{
    if (change.set_mtime && (to_set & FUSE_SET_ATTR_MTIME_NOW)) {
        snprintf(
            why->message, sizeof(why->message),
            "The modification time of a partition is its end: touch -d sets it, rm ends it now.");
        return REFUSED_INVALID;
    }
    return tree_change_attributes(&context->server->tree, node, &context->caller, &change, why);
}

void write_attributes(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                      struct fuse_file_info *fi)
{
    struct request_context context = begin(req);
    struct tree *tree = &context.server->tree;
    struct refusal why = {""};
    struct attributes attributes;
    struct node node;
    int r = tree_node_from_id(ino, &node) ? 0 : -ENOENT;
    if (!r)
        r = tree_attributes(tree, &node, context.caller.uid, &attributes);
    /* What the kernel lets everyone write, by name. */
    const struct file_row *row = r ? NULL : tree_row(tree, &node);
    if (!fi && (to_set & FUSE_SET_ATTR_SIZE) && row && row->opened &&
        !tree_may_write(tree, &node, &context.caller))
        r = -EACCES;
    if (r) {
        reply_error(req, r);
        return;
    }
    struct attribute_change change = write_change_read(attr, to_set);
    if (tree_change_is_none(&attributes, &change))
        change = (struct attribute_change){.mode = 0}; /* leave the message of the last write */
    else if (!kept_answer(&context))
        r = apply_change(&context, &node, change, to_set, &why);
    if (!r)
        r = tree_attributes(tree, &node, context.caller.uid, &attributes);
    if (r) {
        refuse(&context, &node, 0, r, &why);
        return;
    }
    write_change_message(tree, &node, &attributes, &change, &why);
    if (*why.message)
        status_set(tree, &context.writer, why.message);
    /* The answer is sent after the sync: no cache timeout can be promised now. */
    struct change answer = {.reply = {.kind = REPLY_ATTRIBUTES, .timeout_s = 0}};
    reply_stat(&attributes, &answer.reply.attributes);
    submit(&context, &answer);
}

/* -- removing ------------------------------------------------------------------ */

static void remove_partition(fuse_req_t req, fuse_ino_t parent, const char *name,
                             enum dir_kind kind)
{
    struct request_context context = begin(req);
    struct tree *tree = &context.server->tree;
    struct refusal why = {""};
    struct node dir, node = {.dir = DIR_ROOT};
    int r = 0;
    if (!kept_answer(&context)) {
        if (!tree_node_from_id(parent, &dir) || !tree_lookup(tree, &dir, name, &node))
            r = -ENOENT;
        else if (dir.dir != kind || node.file)
            r = -EPERM;
        else
            r = engine_release(tree->engine, TREE_CALL(tree, &context.caller, &why), node.object);
    }
    if (r == -EPERM)
        snprintf(why.message, sizeof(why.message),
                 node.share ? "\"%.64s\" is a link here; remove it in the directory partitions."
                            : "\"%.64s\" is part of the tree and cannot be removed.",
                 name);
    if (r == -ENOENT) {
        fuse_reply_err(req, ENOENT);
        return;
    } else if (r) {
        refuse(&context, &node, 0, r, &why);
        return;
    }
    snprintf(why.message, sizeof(why.message), "Released %.64s.", name);
    status_set(tree, &context.writer, why.message);
    struct change answer = {.reply = {.kind = REPLY_DONE}};
    submit(&context, &answer);
}

void write_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_partition(req, parent, name, DIR_PARTITIONS);
}

void write_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_partition(req, parent, name, DIR_DEVICE);
}

/* The last copy of the descriptor was closed: end the partitions that it held. */
void write_close(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    struct server *server = fuse_req_userdata(req);
    struct shared_handle *handle = handles_get(&server->handles, fi->fh);
    if (handle && handle->holds) {
        submit_tick(server);
        if (engine_close_hold(server->tree.engine, server->tree.now_ns, fi->fh))
            log_say("Not enough memory to end the partitions of a closed file.");
        submit_events(server, NULL);
    }
    if (handle) {
        status_forget(&server->tree, handle);
        charge_close(&server->tree, handle);
        read_close(server, handle, fi->fh);
    }
    handles_release(&server->handles, fi->fh);
    fuse_reply_err(req, 0);
}
