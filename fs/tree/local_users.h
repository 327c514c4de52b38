/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files passwd, group and subuid of /etc say, read once and searched many times. Reading
 * takes as long as the files are; searching is O(log n). Never changes once it is read, so that one
 * thread can read and another one search.
 *
 * An account is the person that a uid counts for. The kernel lets a user become any of their
 * subordinate uids, so all of these are one person.
 */
#ifndef CHRONOS_TREE_LOCAL_USERS_H
#define CHRONOS_TREE_LOCAL_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct local_users;

struct local_user {
    uint32_t uid, gid;
    const char *name;
};

/* Read the files in the directory `etc`; one that cannot be opened is empty. 0 or -errno. */
int local_users_read(const char *etc, struct local_users **ret_users);
struct local_users *local_users_free(struct local_users *users);
/* Whether the files have been replaced or changed since. Does not read them. */
bool local_users_changed(const struct local_users *users);

/* Find the first user with this uid, or this name. NULL if there is none. */
const struct local_user *local_users_by_uid(const struct local_users *users, uint32_t uid);
const struct local_user *local_users_by_name(const struct local_users *users, const char *name);
/* The name of the first group with this gid, if that name leads back to it; else NULL. */
const char *local_users_group_name(const struct local_users *users, uint32_t gid);
/* Whether the file group lists a user of this name in a group of this gid. */
bool local_users_is_member(const struct local_users *users, const char *name, uint32_t gid);
bool local_users_group(const struct local_users *users, const char *name, uint32_t *ret_gid);
/* Return the account of a uid: the owner of the subordinate range that it is in, also of a range
 * within another range; the uid itself if it is in none, or has an entry in passwd. A range whose
 * owner is not in passwd is an account of its own. */
uint32_t local_users_account(const struct local_users *users, uint32_t uid);

#endif
