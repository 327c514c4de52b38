/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of the file `backup`; see server.h. The committer makes the backup in memory, because only
 * it may read the store; the loop hands it out. With the worker it is gone, and a reader begins
 * again.
 */
#include "core/base/fd.h"
#include "fs/tree/caller.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel checks the mode, but not against the root of a container. */
bool backup_is_permitted(const struct query *query)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(query->req);
    struct caller opener;
    caller_get(&query->server->tree, ctx->uid, ctx->gid, ctx->pid, &opener);
    return opener.root;
}

/* fh 0 finds a free place. */
static struct backup *find(struct server *server, uint64_t fh)
{
    for (size_t i = 0; i < BACKUPS_MAX; i++)
        if (server->backups[i].fh == fh)
            return &server->backups[i];
    return NULL;
}

/* 0 if the committer answers, else an errno. */
static int begin(const struct query *query)
{
    struct backup *backup = query->offset ? NULL : find(query->server, 0);
    if (!backup)
        return query->offset ? ESTALE : EBUSY;
    backup->fd = memfd_create("chronosfs-backup", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (backup->fd < 0)
        return errno;
    backup->fh = query->fi->fh;
    const struct change answer = {.reply = {.kind = REPLY_BACKUP,
                                            .req = query->req,
                                            .backup_fd = fcntl(backup->fd, F_DUPFD_CLOEXEC, 0),
                                            .backup_size = query->size}};
    submit_events(query->server, &answer);
    return 0;
}

/* 0 if the read is answered, else an errno. */
static int answer_from(const struct query *query, const struct backup *backup)
{
    unsigned seals = (unsigned)fcntl(backup->fd, F_GET_SEALS);
    /* Another thread's read has begun it; or it was answered by the last worker, and is now
     * answered again. */
    if (!(seals & F_SEAL_WRITE))
        return query->offset ? ESTALE : EAGAIN;
    char *text = malloc(query->size);
    ssize_t length = text ? pread(backup->fd, text, query->size, query->offset) : -1;
    if (length >= 0)
        fuse_reply_buf(query->req, text, (size_t)length);
    free(text);
    return length >= 0 ? 0 : EIO;
}

void backup_read(const struct query *query)
{
    const struct backup *backup = find(query->server, query->fi->fh);
    int r = backup ? answer_from(query, backup) : begin(query);
    if (r)
        fuse_reply_err(query->req, r);
}

void backup_close(struct server *server, uint64_t fh)
{
    struct backup *backup = find(server, fh);
    if (!backup)
        return;
    fd_close(backup->fd);
    *backup = (struct backup){0};
}
