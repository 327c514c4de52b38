/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of users and groups, and the accounts that uids count for. A thread reads the files of /etc
 * (local_users.h) and asks for names that are not there (LDAP and the like), because either can
 * take long and the loop must not wait. Names are printed and read as words (username.h).
 *
 * A uid is printed as a name only if that name leads back to it; otherwise as a number. So no two
 * uids ever have the same name. Changes of the files are noticed within a second, those in a
 * directory service within a minute.
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

/* The group of a user who is named by a uid that has no name: nogroup, in which no process is. */
#define NAMES_NO_GROUP 65534u

/* How to ask the system's databases; can block. 0: there is no such user or group; 1: found; -errno
 * on failure. */
struct names_system {
    const char *etc; /* the directory of passwd, group and subuid */
    /* Find the name of a uid, and its gid. */
    int (*user_name)(uint32_t uid, char *name, uint32_t size, uint32_t *ret_gid);
    int (*user)(const char *name, uint32_t *ret_uid, uint32_t *ret_gid);
    int (*group)(const char *name, uint32_t *ret_gid);
};

/* Read the files and start the thread. `system` NULL: this machine. 0 or -errno; the caller frees
 * it. */
int names_new(const struct names_system *system, struct names **ret_names);
/* Stop the thread, waiting for a lookup in progress, and free everything. Returns NULL. */
struct names *names_free(struct names *names);
/* An eventfd: readable when lookups have ended. */
int names_fd(const struct names *names);
/* Collect their results. Call it when names_fd is readable. True: the files have changed, and
 * accounts with them. */
bool names_collect(struct names *names);

/* Return a uid's name for printing, or its number as text if it has no (known) name. Borrowed until
 * the next call. */
const char *names_user(struct names *names, uint32_t uid);
/* Find the uid that names_user prints as `word`, without a lookup. */
bool names_shown_user(struct names *names, const char *word, uint32_t *ret_uid);
/* Whether `word` means this uid: its number or its name, spelled or not. Without a lookup. */
bool names_is_user(struct names *names, uint32_t uid, const char *word);
/* Find a user by name, spelled or not, or by uid: any number below 4294967295, with NAMES_NO_GROUP
 * if no user has it. */
enum names_result names_find_user(struct names *names, const char *word, uint32_t *ret_uid,
                                  uint32_t *ret_gid);
/* Find a user for `account`, who is no administrator: never wait, and have one lookup of theirs in
 * progress. A number must be that of a user, or a subordinate uid. */
enum names_result names_find_user_for(struct names *names, uint32_t account, const char *word,
                                      uint32_t *ret_uid);
/* Find a group by name, spelled or not. */
enum names_result names_find_group(struct names *names, const char *word, uint32_t *ret_gid);
/* The same for groups, of /etc/group alone; borrowed likewise. */
const char *names_group(struct names *names, uint32_t gid);
bool names_shown_group(struct names *names, const char *word, uint32_t *ret_gid);
/* Whether the files of /etc put a user into a group; and their primary group, or `otherwise` if
 * they are not there. Never blocks. */
bool names_in_group(const struct names *names, uint32_t uid, uint32_t gid);
uint32_t names_primary_group(const struct names *names, uint32_t uid, uint32_t otherwise);
/* Return the account that a uid counts for (local_users.h). Never blocks; well under a
 * microsecond. */
uint32_t names_account(const struct names *names, uint32_t uid);

#endif
