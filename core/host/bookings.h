/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each process has booked through files `charge` of a partition, and its rest: what drivers
 * report for it beyond that, such as modules, streams and the memory of programs that book nothing.
 * The loop books, the host thread compares with what drivers report; a lock that is held for
 * microseconds keeps the two apart. A partition is known by the share_key of its device: one with
 * several devices is several here. It must not know limits, nor where the figures come from.
 */
#ifndef CHRONOS_HOST_BOOKINGS_H
#define CHRONOS_HOST_BOOKINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bookings;

/* 0 or -ENOMEM. */
int bookings_new(struct bookings **ret_bookings);
/* NULL is fine. Return NULL. */
struct bookings *bookings_free(struct bookings *bookings);

/* -- the loop; pid 0 is no process, and nothing is recorded ------------------------------- */

/* A process opens `charge` of a partition. 0 or -ENOMEM. */
int bookings_open(struct bookings *bookings, uint64_t id, int32_t pid);
/* It closes one of them. With the last its rest goes, until drivers report the process again. */
void bookings_close(struct bookings *bookings, uint64_t id, int32_t pid);
/* Book bytes, or give them back. Call bookings_open first. */
void bookings_add(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t bytes);
void bookings_subtract(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t bytes);
/* A process says what it has held since before it opened a file: book as much of that as was found
 * as its rest while it had none open, and take it off the rest. Return how much. Each byte can be
 * claimed once, so a process cannot hide its rest: the next look finds it again. */
uint64_t bookings_claim(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t bytes);
/* Undo it at once. */
void bookings_unclaim(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t claimed_bytes);
/* A process says of itself that it has memory which cannot be suspended: until it has no file open.
 */
#define BOOKINGS_IPC       1u
#define BOOKINGS_MANAGED   2u
#define BOOKINGS_MULTICAST 4u
void bookings_mark(struct bookings *bookings, uint64_t id, int32_t pid, unsigned marks);
/* Return the rests of all processes of a partition. */
uint64_t bookings_rest(struct bookings *bookings, uint64_t id);

/* -- the host thread ------------------------------------------------------------------ */

/* What a driver reports for a member of a partition. */
struct bookings_use {
    uint64_t id;
    int32_t pid;
    uint64_t bytes; /* GPU_BYTES_UNKNOWN is not passed */
};

/* Drivers are about to be asked. */
void bookings_look(struct bookings *bookings);
/* They have answered: compute all rests. A process that is not reported has none. What a process
 * has booked since bookings_look may be reported or not: then its rest is not lowered. */
void bookings_compare(struct bookings *bookings, const struct bookings_use *uses, size_t count);
/* Return whether the rest of a process exceeds allowed_bytes in a partition that exceeds its limit,
 * by what is booked and by all rests. */
bool bookings_is_over(struct bookings *bookings, uint64_t id, int32_t pid, uint64_t allowed_bytes,
                      uint64_t limit_bytes);
/* Return the marks of a process; with pid 0, those of all processes of the partition. */
unsigned bookings_marks(struct bookings *bookings, uint64_t id, int32_t pid);
/* Return whether a process has a file `charge` of the partition open. */
bool bookings_has(struct bookings *bookings, uint64_t id, int32_t pid);

#endif
