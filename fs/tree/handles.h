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

struct names;
struct pollers;

struct handles {
    int fd;
    struct shared_handle *slots;
    uint32_t count;
    uint32_t free;             /* index + 1 of a free slot; 0: none */
    struct pollers *pollers;   /* the polled slots */
    const struct names *names; /* tells whose they are; NULL: each uid is a person */
};

/* Map the existing slots. 0 or -errno. */
int handles_open(struct handles *handles, int fd, const struct names *names);
/* Unmap the slots; the files stay open for the next worker. */
void handles_close(struct handles *handles);
/* Take a slot for node `node`, opened by `uid`. *ret_fh is never 0. 0 or -errno. */
int handles_take(struct handles *handles, uint64_t node, uint32_t uid, uint64_t *ret_fh);
/* Return the slot of an open file, or NULL. Valid until the next take. */
struct shared_handle *handles_get(struct handles *handles, uint64_t fh);
/* Free the slot of a closed file. */
void handles_release(struct handles *handles, uint64_t fh);
/* Record that the kernel polls this file, with its handle `kh`. 0, -EBADF or -ENOMEM. */
int handles_poll(struct handles *handles, uint64_t fh, uint64_t kh);
/* Let handles_wake_some look at each polled file of a node, or at all polled files. */
void handles_wake(struct handles *handles, uint64_t node);
void handles_wake_all(struct handles *handles);
bool handles_any_to_wake(const struct handles *handles);
/* Call `wake` for the next `count` of these, at most. If it returns true, the file is no longer
 * polled. */
typedef bool handles_wake_fn(void *context, struct shared_handle *slot);
void handles_wake_some(struct handles *handles, unsigned count, handles_wake_fn *wake,
                       void *context);

#endif
