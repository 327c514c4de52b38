/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_charge.h. */
#include "fake_charge.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

struct ledger ledger[FAKE_CHARGES];
static unsigned count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int chronos_charge_new(const char *directory, bool allow_unreachable,
                       struct chronos_charge **ret_charge)
{
    (void)directory;
    (void)allow_unreachable;
    if (count == FAKE_CHARGES)
        return -ENOMEM;
    *ret_charge = (struct chronos_charge *)&ledger[count++];
    return 0;
}

struct chronos_charge *chronos_charge_free(struct chronos_charge *charge)
{
    (void)charge;
    count--;
    return NULL;
}

int chronos_charge_book(struct chronos_charge *charge, uint64_t bytes, pid_t *ret_owner)
{
    struct ledger *book = (struct ledger *)charge;
    pthread_mutex_lock(&lock);
    int r = book->refuse;
    if (!r && bytes > book->limit - book->used)
        r = CHRONOS_FULL;
    if (!r) {
        book->used += bytes;
        book->bookings++;
        *ret_owner = getpid();
    }
    pthread_mutex_unlock(&lock);
    return r;
}

void chronos_charge_give_back(struct chronos_charge *charge, uint64_t bytes, pid_t owner)
{
    struct ledger *book = (struct ledger *)charge;
    pthread_mutex_lock(&lock);
    if (owner == getpid()) {
        book->used -= bytes;
        book->returns++;
    }
    pthread_mutex_unlock(&lock);
}
