/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outcome of the last writes, as messages: what `status` shows. A thread that has written reads
 * its own, every other the latest of its user. Room is shared out by account: many uids or threads
 * of one person push out only each other's messages.
 */
#ifndef CHRONOS_TREE_STATUS_H
#define CHRONOS_TREE_STATUS_H

#include "shared.h"
#include "tree.h"

/* The writer of a message. */
struct status_writer {
    uint32_t uid;
    int32_t tid; /* 0: unknown */
    uint64_t fh; /* the open file that the message can be read back from; 0: none */
};

/* Set the message that this user and this thread read next. Copied; long messages are truncated.
 * Return its number, for status_read_back; 0 without a thread. */
uint64_t status_set(struct tree *tree, const struct status_writer *writer, const char *message);
/* Also keep the message to be read back from the open file `handle`; NULL: from none. */
void status_refuse(struct tree *tree, const struct status_writer *writer,
                   struct shared_handle *handle, const char *message);
/* Return the message for a thread of the user, borrowed; a default if there is none. */
const char *status_get(struct tree *tree, uint32_t uid, int32_t tid);

/* -- status_threads.c ------------------------------------------------------ */

uint64_t status_thread_set(struct tree *tree, uint32_t account, const struct status_writer *writer,
                           const char *message);
/* Return the last message of the thread, or NULL. */
const char *status_thread_get(struct tree *tree, uint32_t account, uint32_t uid, int32_t tid);
/* Return the refusal to be read back from an open file, or NULL if there is none. */
const char *status_read_back(struct tree *tree, const struct shared_handle *handle);
/* Let the thread's next message take its place: the file is closed, or was granted something. */
void status_forget(struct tree *tree, struct shared_handle *handle);

#endif
