/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads requests, refuses those that it cannot hold, and says which one is served next: first of
 * all, those that a dead worker left. It must not know what a request asks for.
 */
#ifndef CHRONOS_FUSE_INTAKE_H
#define CHRONOS_FUSE_INTAKE_H

#include "requests.h"

#include <stdbool.h>

struct intake;
struct names;

/* Take over the requests in the supervisor's memory; `fd` is the mount's /dev/fuse. Turns go by the
 * account that `names` says; NULL: by uid. All are borrowed. 0 or -errno. */
int intake_open(struct shared *shared, int fd, const struct names *names,
                struct intake **ret_intake);
/* Free the intake; the requests stay. Accepts NULL. Returns NULL. */
struct intake *intake_free(struct intake *intake);
/* The requests that were read, by slot. */
struct requests *intake_requests(struct intake *intake);
/* Get the request to serve now. 0; -EAGAIN: none is there; other -errno. */
int intake_next(struct intake *intake, uint32_t *ret_slot);
/* Return whether a dead worker had read a request. */
bool intake_was_left(const struct intake *intake, uint32_t slot);
/* The request of the last intake_next was served, answered or not, in this time. */
void intake_served(struct intake *intake, uint32_t slot, int64_t spent_ns);
/* The request of the last intake_next is not served now. intake_take_back lets it have a turn
 * again, with all others that were put aside. */
void intake_put_aside(struct intake *intake, uint32_t slot);
void intake_take_back(struct intake *intake);
/* Answer a request. 0; -ENOENT: no one waits for the answer; other -errno: it was answered EIO. If
 * the kernel takes no answer at all, this ends the worker: the next one answers. Thread-safe. */
int intake_answer(struct intake *intake, uint32_t slot, struct iovec *iov, int count);
/* Answer a request with an errno, without serving it. */
void intake_refuse(struct intake *intake, uint32_t slot, int error);
/* Return whether no more requests can be read until one is answered. */
bool intake_is_full(const struct intake *intake);
/* Return whether requests were read and not served yet. */
bool intake_holds(const struct intake *intake);
/* Return how many of those that a dead worker left were not served yet. */
uint32_t intake_left(const struct intake *intake);

#endif
