/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the test programs of the stores: a store in a directory of its own, and short ways to
 * fill it. Used by one test at a time.
 */
#ifndef CHRONOS_TESTS_STORE_FIXTURE_H
#define CHRONOS_TESTS_STORE_FIXTURE_H

#include "core/store/sqlite_internal.h"
#include "help.h"

static const struct store_clock boot = {"boot-1", 1000 * DAY_NS, 0};

/* Created for each test, and freed after it. */
extern char directory[PATH_MAX];
extern struct message why;
extern struct store *store;
extern struct kept kept;
extern struct attempt attempt;
void fixture_setup(void);
void fixture_teardown(void);
/* Register `count` devices (at most 8) with the store, and empty the attempt. */
void give_devices(uint32_t count, const struct store_clock *clock);
/* Commit the attempt, and empty it. Returns the result of the store; `why` has its message. */
int commit(void);

/* Assert that everything except device and change_seq is equal. */
void same_partition(const struct partition *a, const struct partition *b);
/* Assert that everything except the devices ruled out is equal. */
void same_waiting(const struct waiting *a, const struct waiting *b);

/* -- of a file ------------------------------------------------------------------ */

/* Return the path of a file, valid until the next call. */
const char *path_in(const char *where, const char *name);

struct bytes {
    char *at;
    size_t count;
};
/* Read a file; no bytes if it does not exist. */
struct bytes slurp(const char *where, const char *name);
void spill(const char *where, const char *name, const struct bytes *bytes);

/* Close the open store and open the file in `directory`, with the result of store_sqlite.open. */
int try_open(bool check);
int try_load(void);
/* Open, load and register two devices. */
void open_well(void);
/* Try to commit the creation of a partition whose id is its event's number. */
int create(uint64_t id);
/* Create a state with a row in every table, and close it. */
void fill(void);
void as_filled(void);

#endif
