/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of users and groups. Read the system's own files directly; a thread asks for names that are
 * not there (LDAP and the like), because such a service can be slow and the loop must not wait.
 */
#ifndef CHRONOS_TREE_NAMES_H
#define CHRONOS_TREE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct names;

enum names_result {
    NAMES_FOUND,
    NAMES_UNKNOWN, /* no such user or group */
    NAMES_LATER,   /* lookup in progress: names_fd becomes readable when it ends */
};

/* Start the thread. 0 or -errno; the caller frees it. */
int names_new(struct names **ret_names);
/* Stop the thread, waiting for a lookup in progress, and free everything. Returns NULL. */
struct names *names_free(struct names *names);
/* An eventfd: readable when lookups have ended. */
int names_fd(const struct names *names);
/* Collect their results. Call it when names_fd is readable. */
void names_collect(struct names *names);

/* Return a uid's name for printing, or its number as text if it has no (known) name. Borrowed until
 * the next call. */
const char *names_user(struct names *names, uint32_t uid);
/* Find the uid that names_user printed as `name`, without a lookup. Not for numbers. */
bool names_shown_user(struct names *names, const char *name, uint32_t *ret_uid);
/* Find a user by name, or by the decimal uid of an existing user. */
enum names_result names_find_user(struct names *names, const char *name, uint32_t *ret_uid,
                                  uint32_t *ret_gid);
/* Find a group by name. */
enum names_result names_find_group(struct names *names, const char *name, uint32_t *ret_gid);

#endif
