/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. Their state is in the supervisor's memory, so that they continue under the next
 * worker. A file handle consists of a slot's index and generation, so a stale handle is never taken
 * for a new one.
 */
#ifndef CHRONOS_TREE_HANDLES_H
#define CHRONOS_TREE_HANDLES_H

#include "shared.h"

#include <stddef.h>

#define HANDLES_BUCKETS 4096u

/* The neighbours of a polled slot in its list. */
struct handles_poll {
    uint32_t next, previous;
};

struct handles {
    int fd;
    struct shared_handle *slots;
    uint32_t count;
    uint32_t free; /* index + 1 of a free slot; 0: none */
    /* Lists of polled slots by hash of the node, so that an event checks only its own files.
     * Entries are index + 1; 0 ends a list. */
    uint32_t poll_heads[HANDLES_BUCKETS];
    struct handles_poll *polls; /* one per slot */
};

/* Map the existing slots. 0 or -errno. */
int handles_open(struct handles *handles, int fd);
/* Unmap the slots; the files stay open for the next worker. */
void handles_close(struct handles *handles);
/* Take a slot for node `node`, opened by `uid`. *ret_fh is never 0. 0 or -errno. */
int handles_take(struct handles *handles, uint64_t node, uint32_t uid, uint64_t *ret_fh);
/* Return the slot of an open file, or NULL. Valid until the next take. */
struct shared_handle *handles_get(struct handles *handles, uint64_t fh);
/* Free the slot of a closed file. */
void handles_release(struct handles *handles, uint64_t fh);
/* Record that the kernel polls this file, with its handle `kh`. */
void handles_poll(struct handles *handles, uint64_t fh, uint64_t kh);
/* Call `wake` for each polled file of node `node`, and possibly for others. If `wake` returns true,
 * the file is no longer polled. */
typedef bool handles_wake_fn(void *context, struct shared_handle *slot);
void handles_wake(struct handles *handles, uint64_t node, handles_wake_fn *wake, void *context);
/* The same for all polled files. */
void handles_wake_all(struct handles *handles, handles_wake_fn *wake, void *context);

#endif
