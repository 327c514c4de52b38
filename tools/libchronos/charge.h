/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of a partition's `charge` file, for shims that run inside programs: books
 * device memory and gives it back. Copes with fork, with programs that close all
 * their descriptors, and with a daemon that was started again. It never waits but
 * for the answer of the filesystem, prints nothing and ends nothing. All calls may
 * be made by any thread at any time; none calls out while it holds its lock.
 */
#ifndef CHRONOS_LIBCHRONOS_CHARGE_H
#define CHRONOS_LIBCHRONOS_CHARGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Why nothing was booked. */
enum charge_refusal {
    CHARGE_FULL = 1,    /* more than the partition has left; fewer bytes may fit */
    CHARGE_CLOSED,      /* it has ended, or takes nothing from this user */
    CHARGE_UNREACHABLE, /* the filesystem does not answer, and the policy is to refuse */
};

struct charge;

/* A client of DIRECTORY/charge, which is opened at the first booking. With
 * allow_unreachable, bookings are taken down here while the filesystem cannot be
 * reached, and booked there as soon as it can. 0 or -ENOMEM. */
int charge_new(const char *directory, bool allow_unreachable, struct charge **ret_charge);

/* Closes the descriptor, which gives back what it booked. NULL is fine. */
struct charge *charge_free(struct charge *charge);

/* Books `bytes`, all or nothing: 0 or a refusal. *ret_owner says which process did,
 * and is handed to charge_give_back. 0 bytes are always booked. */
int charge_book(struct charge *charge, uint64_t bytes, pid_t *ret_owner);

/* Gives back what was booked before. In a forked child, what its parent had booked
 * is the parent's still, and the call does nothing. */
void charge_give_back(struct charge *charge, uint64_t bytes, pid_t owner);

#endif
