/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of users and groups. The system's own files are read at once; whoever is
 * not in them is asked for (LDAP and the like) by a thread of its own, because
 * such a service can take its time and the loop must not.
 */
#ifndef CHRONOS_TREE_NAMES_H
#define CHRONOS_TREE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct names;

enum names_result {
    NAMES_FOUND,
    NAMES_UNKNOWN, /* there is no such user or group */
    NAMES_LATER,   /* being asked for: names_fd becomes readable when something came */
};

int names_new(struct names **ret_names);
struct names *names_free(struct names *names);
/* Readable (an eventfd) when answers have come. */
int names_fd(const struct names *names);
/* Takes the answers in; call it when names_fd is readable. */
void names_collect(struct names *names);

/* A uid's name, to show: its number as text when it has none (yet). Borrowed
 * until the next call. */
const char *names_user(struct names *names, uint32_t uid);
/* The uid that names_user showed as `name`; asks nobody. Not for numbers. */
bool names_shown_user(struct names *names, const char *name, uint32_t *ret_uid);
/* A user by name (a decimal uid of an existing user is accepted too). */
enum names_result names_find_user(struct names *names, const char *name, uint32_t *ret_uid,
                                  uint32_t *ret_gid);
/* A group by name. */
enum names_result names_find_group(struct names *names, const char *name, uint32_t *ret_gid);

#endif
