/* SPDX-License-Identifier: Apache-2.0 */
/* Charge allocations; see booking.h. Nothing here calls the driver for memory. */
#include "booking.h"

#include "devices.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static cl_int error_of(int refusal)
{
    return refusal == CHRONOS_FULL ? CL_MEM_OBJECT_ALLOCATION_FAILURE : CL_OUT_OF_RESOURCES;
}

static void report(unsigned partition, uint64_t bytes, int refusal)
{
    const char *why = refusal == CHRONOS_FULL     ? "more than it has left"
                      : refusal == CHRONOS_CLOSED ? "it has ended, or is not yours"
                                                  : "the filesystem does not answer";
    if (layer.environment.debug)
        fprintf(stderr, "chronos: %llu bytes refused in %s: %s\n", (unsigned long long)bytes,
                layer.environment.directory[partition], why);
}

static void give_back(uint32_t partitions, uint64_t bytes, pid_t owner)
{
    for (unsigned i = 0; i < layer.environment.count; i++) {
        if (partitions & (1u << i))
            chronos_charge_give_back(layer.charge[i], bytes, owner);
    }
}

/* -- waiting for releases --------------------------------------------------------- */

/* Number of releases by the program, and of bookings that ended. */
static _Atomic uint64_t released, ended;
static _Atomic uint64_t waited_for; /* value of `released` after the last vain wait */

#define WAIT_STEP_NS 200000
#define WAIT_STEPS   100

void booking_note_release(void)
{
    atomic_fetch_add_explicit(&released, 1, memory_order_relaxed);
}

void booking_end(struct booking *booking)
{
    booking_free(booking);
    atomic_fetch_add(&ended, 1);
}

/* Return whether bookings have ended since *seen, and update it. Wait a little if the program has
 * released something that is still charged: a driver may report an end from a thread of its own,
 * shortly after the release (NVIDIA's does), and a program that frees and allocates at once must
 * not be refused for that. */
static bool wait_for_end(uint64_t *seen)
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_NS};
    uint64_t before = *seen, releases = atomic_load(&released);
    bool worth = releases > atomic_load(&ended) && releases != atomic_load(&waited_for);

    *seen = atomic_load(&ended);
    for (int i = 0; worth && *seen == before && i < WAIT_STEPS; i++) {
        nanosleep(&step, NULL);
        *seen = atomic_load(&ended);
    }
    if (worth && *seen == before)
        atomic_store(&waited_for, releases);
    return *seen != before;
}

/* -- booking ---------------------------------------------------------------------- */

/* Charge one partition. Treat bytes that are just being freed as free. */
static int book_one(unsigned partition, uint64_t bytes, pid_t *ret_owner)
{
    uint64_t seen = atomic_load(&ended);
    int refusal;
    do {
        refusal = chronos_charge_book(layer.charge[partition], bytes, ret_owner);
    } while (refusal == CHRONOS_FULL && wait_for_end(&seen));
    return refusal;
}

/* Charge all of the partitions or none. */
static cl_int book(uint32_t partitions, uint64_t bytes, pid_t *ret_owner)
{
    for (unsigned i = 0; i < layer.environment.count; i++) {
        if (!(partitions & (1u << i)))
            continue;
        int refusal = book_one(i, bytes, ret_owner);
        if (refusal != 0) {
            report(i, bytes, refusal);
            give_back(partitions & ((1u << i) - 1), bytes, *ret_owner);
            return error_of(refusal);
        }
    }
    return CL_SUCCESS;
}

cl_int booking_new(cl_context context, uint64_t bytes, struct booking **ret_booking)
{
    struct booking *booking = calloc(1, sizeof(*booking));
    if (!booking)
        return CL_OUT_OF_HOST_MEMORY;
    cl_int r = devices_of_context(context, &booking->partitions);
    if (r == CL_SUCCESS)
        r = book(booking->partitions, bytes, &booking->owner);
    if (r != CL_SUCCESS) {
        free(booking);
        return r;
    }
    booking->bytes = bytes;
    *ret_booking = booking;
    return CL_SUCCESS;
}

cl_int booking_resize(struct booking *booking, uint64_t bytes)
{
    cl_int r = CL_SUCCESS;
    if (bytes > booking->bytes)
        r = book(booking->partitions, bytes - booking->bytes, &booking->owner);
    else
        give_back(booking->partitions, booking->bytes - bytes, booking->owner);
    if (r == CL_SUCCESS)
        booking->bytes = bytes;
    return r;
}

struct booking *booking_free(struct booking *booking)
{
    if (booking)
        give_back(booking->partitions, booking->bytes, booking->owner);
    free(booking);
    return NULL;
}

/* -- the table -------------------------------------------------------------------- */

static struct booking **bucket_of(const struct booking_table *table, const void *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
    return &table->bucket[(hash >> 32) & (table->buckets - 1)];
}

static void grow(struct booking_table *table)
{
    size_t buckets = table->buckets == 0 ? BOOKING_BUCKETS_MIN : 2 * table->buckets;
    struct booking_table larger = {.bucket = calloc(buckets, sizeof(*larger.bucket)),
                                   .buckets = buckets};
    if (!larger.bucket)
        return;
    for (size_t i = 0; i < table->buckets; i++) {
        for (struct booking *at = table->bucket[i], *next; at; at = next) {
            next = at->next;
            struct booking **to = bucket_of(&larger, at->key);
            at->next = *to;
            *to = at;
        }
    }
    free(table->bucket);
    table->bucket = larger.bucket;
    table->buckets = buckets;
}

bool booking_table_add(struct booking_table *table, const void *key, struct booking *booking)
{
    if (table->count >= table->buckets)
        grow(table);
    if (table->buckets == 0)
        return false;
    struct booking **to = bucket_of(table, key);
    booking->key = key;
    booking->next = *to;
    *to = booking;
    table->count++;
    return true;
}

struct booking *booking_table_find(const struct booking_table *table, const void *key)
{
    if (table->count == 0)
        return NULL;
    struct booking *at = *bucket_of(table, key);
    while (at && at->key != key)
        at = at->next;
    return at;
}

struct booking *booking_table_remove(struct booking_table *table, const void *key)
{
    if (table->count == 0)
        return NULL;
    struct booking **at = bucket_of(table, key);
    while (*at && (*at)->key != key)
        at = &(*at)->next;
    struct booking *found = *at;
    if (found) {
        *at = found->next;
        table->count--;
    }
    return found;
}
