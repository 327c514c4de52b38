/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of files; see server.h. Logs are read by follow.h. Any other open file shows one text from
 * a read at offset 0 on, in however many pieces it is read, until it is read from offset 0 again.
 */
#include "fs/tree/follow.h"
#include "fs/tree/names.h"
#include "fs/tree/status.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Likewise, if what is read back is a text: only the worker has it. */
static void read_shown(const struct query *query, struct shared_handle *handle)
{
    static const char gone[] = "What was found is not known any more; write the request again.\n";
    struct server *server = query->server;
    struct query read = *query;
    uint32_t account = names_account(server->tree.names, handle->uid);
    const struct strbuf *text = texts_find(&server->texts, account, query->fi->fh, handle->uid);
    size_t length = text ? text->length : sizeof(gone) - 1;
    read.offset = handle->seen < length ? (off_t)handle->seen : (off_t)length;
    size_t left = length - (size_t)read.offset;
    reply_text(&read, text ? text->data : gone, length);
    handle->seen = (uint64_t)read.offset + (left < read.size ? left : read.size);
}

/* A read after the write of a request returns the id, or why it was refused, whatever the offset
 * is: the position is the handle's own and stops after the id. */
static void read_answer(const struct query *query, struct shared_handle *handle)
{
    struct query read = *query;
    char text[SHARED_MESSAGE_MAX + 1] = "";
    size_t length = 0;
    const char *refusal = status_read_back(&query->server->tree, handle);
    if (query->row->shows && handle->kept && !refusal) {
        read_shown(query, handle);
        return;
    }
    if (handle->answer)
        length =
            (size_t)snprintf(text, sizeof(text), "p%llu\n", (unsigned long long)handle->answer - 1);
    else if (refusal)
        length = (size_t)snprintf(text, sizeof(text), "%s\n", refusal);
    read.offset = handle->seen < length ? (off_t)handle->seen : (off_t)length;
    size_t left = length - (size_t)read.offset;
    reply_text(&read, text, length);
    /* After the reply: a worker that dies before it leaves the id to be read. */
    handle->seen = (uint64_t)read.offset + (left < read.size ? left : read.size);
}

/* Logs are not copied: see follow.h. */
static void answer_from_log(const struct query *query, struct shared_handle *handle)
{
    struct tree *tree = &query->server->tree;
    const struct event_log *log = query->row->log(tree, &query->node);
    struct follow follow = {.shared = tree->shared,
                            .handle = handle,
                            .fh = query->fi->fh,
                            .account = names_account(tree->names, handle->uid),
                            .wall_ns = tree_wall_ns(tree),
                            .room = &tree->scratch};
    size_t length;
    const char *text = follow_read(&follow, log, (uint64_t)query->offset, query->size, &length);
    if (!text) {
        fuse_reply_err(query->req, ENOMEM);
        return;
    }
    if (handle->log_age == log->age)
        query->row->watch(tree, &query->node, &handle->seen);
    fuse_reply_buf(query->req, text, length);
}

/* Note whether the reader gets the end of this text. */
static void note_end(const struct query *query, struct shared_handle *handle,
                     const struct strbuf *text)
{
    uint64_t offset = (uint64_t)query->offset;
    if (offset >= text->length || text->length - offset <= query->size)
        handle->read_end = (uint32_t)text->length + 1;
}

/* Answer with a piece of this text. */
static void answer_from(const struct query *query, struct shared_handle *handle,
                        const struct strbuf *text)
{
    reply_text(query, text->data, text->length);
    note_end(query, handle, text);
}

/* A reader whose answer waits until what it shows is durable. */
struct reader {
    struct query query;
    struct fuse_file_info fi;
    size_t length;
    char text[];
};

/* A start that was shown is a promise, also after a crash. If what the file shows has moved and
 * that is not durable, keep the answer until it is. NULL: answer now. */
static struct reader *wait_for_disk(const struct query *query, const struct strbuf *text)
{
    if (!query->row->promises || query->undurable || !committer_moves(query->server->committer))
        return NULL;
    size_t from = (uint64_t)query->offset < text->length ? (size_t)query->offset : text->length;
    size_t n = text->length - from < query->size ? text->length - from : query->size;
    struct reader *reader = malloc(sizeof(*reader) + n);
    if (!reader)
        return NULL;
    *reader = (struct reader){.query = *query, .fi = *query->fi, .length = n};
    reader->query.fi = &reader->fi;
    reader->query.undurable = true; /* if it is answered again */
    if (n)
        memcpy(reader->text, text->data + from, n);
    return reader;
}

static void answer_read(const struct query *query);

/* The disk does not take the changes. */
static void answer_again(struct reader *reader)
{
    answer_read(&reader->query);
    free(reader);
}

static void answer_when_durable(struct server *server, struct reader *reader)
{
    const struct change answer = {.reply = {.kind = REPLY_TEXT,
                                            .req = reader->query.req,
                                            .written = reader->length,
                                            .text = reader->text,
                                            .reader = reader,
                                            .again = answer_again}};
    submit_events(server, &answer);
}

/* An old list of members would say that programs are gone, or have not come. */
static void refuse_late(const struct query *query)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(query->req);
    const struct status_writer reader = {.uid = ctx->uid, .tid = ctx->pid};
    char text[ENGINE_MESSAGE_MAX];
    snprintf(text, sizeof(text),
             "It is not known now what belongs to p%llu: the machine is overloaded. Read it again.",
             (unsigned long long)query->node.object);
    reply_refusal(query->server, query->req, &reader, -ETIMEDOUT, text);
}

static void answer_from_show(const struct query *query, struct shared_handle *handle)
{
    struct server *server = query->server;
    struct tree *tree = &server->tree;
    uint32_t uid = fuse_req_ctx(query->req)->uid;
    uint32_t account = names_account(tree->names, handle->uid);
    uint64_t offset = (uint64_t)query->offset;
    const struct strbuf *begun =
        offset && handle->kept ? texts_find(&server->texts, account, query->fi->fh, uid) : NULL;
    bool at_end = offset && (begun ? offset >= begun->length
                                   : handle->read_end && offset >= handle->read_end - UINT64_C(1));
    if (at_end) {
        reply_text(query, "", 0);
        return;
    }
    if (begun) {
        answer_from(query, handle, begun);
        return;
    }
    if (query->late && query->row->live == LIVE_MEMBERS) {
        refuse_late(query);
        return;
    }
    int r = tree_show(tree, &query->node, uid);
    if (r) {
        reply_error(query->req, r);
        return;
    }
    if (query->row->watch)
        query->row->watch(tree, &query->node, &handle->seen);
    handle->read_end = 0;
    handle->kept = 1;
    struct reader *reader = wait_for_disk(query, tree->shown);
    if (reader)
        note_end(query, handle, tree->shown);
    else
        answer_from(query, handle, tree->shown);
    texts_put(&server->texts, account, query->fi->fh, uid, tree->shown);
    if (reader)
        answer_when_durable(server, reader);
}

static void answer_read(const struct query *query)
{
    const struct file_row *row = query->row;
    struct shared_handle *handle = handles_get(&query->server->handles, query->fi->fh);
    if (!handle || !row || !tree_alive(&query->server->tree, &query->node))
        fuse_reply_err(query->req, handle ? ENODEV : EBADF);
    else if (row->own && (query->fi->flags & O_ACCMODE) == O_RDWR)
        read_answer(query, handle);
    else if (row->backup)
        backup_read(query);
    else if (row->log)
        answer_from_log(query, handle);
    else
        answer_from_show(query, handle);
}

void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct query query;
    if (!reply_enter(req, ino, &query))
        return;
    query.size = size;
    query.offset = offset;
    query.fi = fi;
    if (offset || !pending_read(&query, answer_read))
        answer_read(&query);
}

void read_close(struct server *server, struct shared_handle *handle, uint64_t fh)
{
    if (handle->kept)
        texts_drop(&server->texts, names_account(server->tree.names, handle->uid), fh);
    handle->kept = 0;
    backup_close(server, fh);
}
