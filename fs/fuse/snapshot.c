/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make a backup; see snapshot.h. The committer only copies the pages; the rest is done on a thread
 * for each backup, so that changes wait no longer than for the copy. A worker that ends does not
 * wait for it: the next one finds the request not answered, and begins again. Nothing is written to
 * a disk, so a full one does not matter.
 */
#include "snapshot.h"

#include "core/base/fd.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct snapshot {
    struct store_copy *copy;
    struct reply reply;
    char text[]; /* of the answer */
};

static void finish(struct snapshot *snapshot)
{
    fd_close(snapshot->reply.backup_fd);
    store_copy_free(snapshot->copy);
    free(snapshot);
}

static void *snapshot_thread(void *argument)
{
    struct snapshot *snapshot = argument;
    const struct reply *reply = &snapshot->reply;
    struct message message = {"The memory cannot be sealed."};
    int fd = reply->backup_fd;
    ssize_t length = store_copy_write(snapshot->copy, fd, &message);
    if (!length)
        length = fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
    if (length < 0)
        log_say("Cannot make a backup. %s", message.text);
    else
        length = pread(fd, snapshot->text, reply->backup_size, 0);
    if (length < 0)
        fuse_reply_err(reply->req, EIO);
    else
        fuse_reply_buf(reply->req, snapshot->text, (size_t)length);
    finish(snapshot);
    return NULL;
}

static int begin(struct store *store, struct snapshot *snapshot, struct message *message)
{
    pthread_attr_t detached;
    pthread_t thread;
    int r = store_copy(store, &snapshot->copy, message);
    if (r)
        return r;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    r = -pthread_create(&thread, &detached, snapshot_thread, snapshot);
    pthread_attr_destroy(&detached);
    return r;
}

void snapshot_answer(struct store *store, const struct reply *reply)
{
    struct message message = {"There is not enough memory."};
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot) + reply->backup_size);
    int r = -ENOMEM;
    if (snapshot) {
        snapshot->reply = *reply;
        r = begin(store, snapshot, &message);
    }
    if (!r)
        return;
    log_say("Cannot make a backup. %s", message.text);
    fuse_reply_err(reply->req, EIO);
    fd_close(reply->backup_fd);
    if (snapshot)
        store_copy_free(snapshot->copy);
    free(snapshot);
}
