/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. What they need lives in memory that the supervisor holds, so that
 * they go on working under the next worker. A file handle is the index of a slot
 * and how often the slot was given out, so a stale one is never mistaken.
 */
#ifndef CHRONOS_TREE_HANDLES_H
#define CHRONOS_TREE_HANDLES_H

#include "shared.h"

#include <stddef.h>

#define HANDLES_BUCKETS 4096u

struct handles {
    int fd;
    struct shared_handle *slots;
    uint32_t count;
    uint32_t free; /* index + 1 of a free slot; 0 none */
    /* slots that somebody polls: lists by node, so that an event looks only at
     * those of its files; index + 1, 0 ends */
    uint32_t poll_heads[HANDLES_BUCKETS];
    uint32_t *poll_next; /* one a slot */
};

/* Maps what is there; 0 or -errno. */
int handles_open(struct handles *handles, int fd);
void handles_close(struct handles *handles);
/* A slot for node `node`, opened by `uid`: *ret_fh is never 0. 0 or -errno. */
int handles_take(struct handles *handles, uint64_t node, uint32_t uid, uint64_t *ret_fh);
/* The slot of a handle, or NULL when it is not open. Borrowed until the next take. */
struct shared_handle *handles_get(struct handles *handles, uint64_t fh);
void handles_release(struct handles *handles, uint64_t fh);
/* Notes that the kernel wants to hear about changes of this file. */
void handles_poll(struct handles *handles, uint64_t fh, uint64_t kh);
/* Calls `wake` for each polled file that is node `node`, and maybe others; when it
 * returns true the file is no longer polled. */
typedef bool handles_wake_fn(void *context, struct shared_handle *slot);
void handles_wake(struct handles *handles, uint64_t node, handles_wake_fn *wake, void *context);
void handles_wake_all(struct handles *handles, handles_wake_fn *wake, void *context);

#endif
