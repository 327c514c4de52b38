/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the test programs of the stores: a store in a directory of its own, and short
 * ways to fill it. One test at a time uses it.
 */
#ifndef CHRONOS_TESTS_STORE_FIXTURE_H
#define CHRONOS_TESTS_STORE_FIXTURE_H

#include "core/store/sqlite_internal.h"
#include "help.h"

static const struct store_clock boot = {"boot-1", 1000 * DAY_NS};

/* New for each test, freed after it. */
extern char directory[PATH_MAX];
extern struct message why;
extern struct store *store;
extern struct kept kept;
extern struct attempt attempt;
void fixture_setup(void);
void fixture_teardown(void);
/* Names `count` devices (at most 8) to the store, and empties the attempt. */
void give_devices(uint32_t count, const struct store_clock *clock);
/* Commits the attempt, and empties it. Returns the result of the store; `why` has its message. */
int commit(void);

/* Asserts that all but device and change_seq is the same. */
void same_partition(const struct partition *a, const struct partition *b);

/* -- of a file ------------------------------------------------------------------ */

/* Returns the path of a file; the next call overwrites it. */
const char *path_in(const char *where, const char *name);

struct bytes {
    char *at;
    size_t count;
};
/* Reads a file; no bytes when it does not exist. */
struct bytes slurp(const char *where, const char *name);
void spill(const char *where, const char *name, const struct bytes *bytes);

/* Closes the open store and opens the file in `directory`; as store_sqlite.open. */
int try_open(bool check);
int try_load(void);
/* Opens, loads and names two devices. */
void open_well(void);
/* Tries to commit the creation of a partition whose id is its event's number. */
int create(uint64_t id);
/* Makes a state with a row in every table, and closes it. */
void fill(void);
void as_filled(void);

#endif
