/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that were read and are not answered, in the supervisor's memory. A request is read
 * straight into its slot, which is free again once the answer was written. So a worker may die at
 * any moment: the next one takes up all requests, in their order, and answers them. If the dead one
 * had answered already, the kernel refuses the second answer; what must not be done twice is
 * recognized by the number of the request, which the kernel never uses again.
 *
 * Requests that are longer than a slot can only be refused: their end is not kept. Requests without
 * an answer are dropped: nodes have no state to forget, and nothing takes long enough to be
 * interrupted.
 */
#ifndef CHRONOS_FUSE_REQUESTS_H
#define CHRONOS_FUSE_REQUESTS_H

#include "fs/tree/shared.h"

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* No slot. */
#define REQUESTS_NONE UINT32_MAX

struct requests;

/* Take over the slots in the supervisor's memory (borrowed). 0 or -errno. */
int requests_open(struct shared *shared, struct requests **ret_requests);
/* Free the table; the slots stay. Accepts NULL. Returns NULL. */
struct requests *requests_free(struct requests *requests);
/* Return the slot of the next request that a dead worker left, oldest first, or REQUESTS_NONE. */
uint32_t requests_take_up(struct requests *requests);
/* Read the next request. 0; -EAGAIN: none is there, or no slot is free; other -errno. */
int requests_read(struct requests *requests, int fd, uint32_t *ret_slot);
/* Return the kernel's header of a request. */
struct fuse_in_header requests_header(const struct requests *requests, uint32_t slot);
/* Return the request, and how much of it was kept. Valid until it is answered. */
const char *requests_data(const struct requests *requests, uint32_t slot, size_t *ret_size);
/* Return a number that finds the slot until the request is answered; at least 1 << 16. */
uint64_t requests_ticket(const struct requests *requests, uint32_t slot);
/* Return the slot, or REQUESTS_NONE if the request has been answered. Thread-safe. */
uint32_t requests_find(const struct requests *requests, uint64_t ticket);
/* Write an answer to `fd`; its header, the first of `iov`, needs no number. If the kernel does not
 * take it, try again, then answer EIO. The slot is free afterwards. 0; -ENOENT: no one waits for
 * the answer; other -errno: the answer was EIO. REQUESTS_UNANSWERED: the kernel took nothing, and
 * the slot is kept for the next worker. Thread-safe. */
#define REQUESTS_UNANSWERED 1
int requests_answer(struct requests *requests, int fd, uint32_t slot, struct iovec *iov, int count);
/* Return a slot whose request was answered since the last call, for others to use, or
 * REQUESTS_NONE. */
uint32_t requests_collect(struct requests *requests);
/* Return whether no slot is free, not even one that could be collected. */
bool requests_full(const struct requests *requests);
/* Give memory back after a burst, if no request is there. */
void requests_trim(struct requests *requests);

#endif
