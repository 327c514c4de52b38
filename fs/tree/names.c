/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users and groups; see names.h. */
#include "names.h"

#include "names_cache.h"
#include "names_system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct names {
    struct names_cache *cache;
    char shown[USERNAME_MAX + 1]; /* the word returned last */
};

int names_new(const struct names_system *system, struct names **ret_names)
{
    struct names *names = calloc(1, sizeof(*names));
    int r = names ? names_cache_new(system ? system : &names_system, &names->cache) : -ENOMEM;
    if (r) {
        free(names);
        return r;
    }
    *ret_names = names;
    return 0;
}

struct names *names_free(struct names *names)
{
    if (names)
        names_cache_free(names->cache);
    free(names);
    return NULL;
}

int names_fd(const struct names *names)
{
    return names_cache_fd(names->cache);
}

bool names_collect(struct names *names)
{
    return names_cache_collect(names->cache);
}

/* Return the word for a user in the files, in names->shown, or NULL. */
static const char *word_of_local(struct names *names, const struct local_user *user)
{
    const struct local_user *back =
        local_users_by_name(names_cache_files(names->cache), user->name);
    return back && back->uid == user->uid && username_spell(user->name, names->shown) ? names->shown
                                                                                      : NULL;
}

/* Return the word for a user of a directory service, or NULL. */
static const char *word_of_entry(struct names *names, uint32_t uid)
{
    /* Subordinate uids are many and have no names. */
    if (local_users_account(names_cache_files(names->cache), uid) != uid)
        return NULL;
    const struct names_entry *entry = names_cache_lookup(names->cache, NULL, ASK_UID, uid, "");
    char name[USERNAME_MAX + 1];
    if (!entry || !*entry->word || !username_read(entry->word, name) ||
        local_users_by_name(names_cache_files(names->cache), name)) /* means that user */
        return NULL;
    return entry->word;
}

const char *names_user(struct names *names, uint32_t uid)
{
    names_cache_check(names->cache, false);
    const struct local_user *user = local_users_by_uid(names_cache_files(names->cache), uid);
    const char *word = user ? word_of_local(names, user) : word_of_entry(names, uid);
    if (word)
        return word;
    snprintf(names->shown, sizeof(names->shown), "%u", (unsigned)uid);
    return names->shown;
}

/* Read the number of a user: any but the last, which means no user to the kernel. */
static bool read_uid(const char *word, uint32_t *ret_uid)
{
    if (!username_is_number(word) || strlen(word) > 10)
        return false;
    unsigned long long number = strtoull(word, NULL, 10);
    if (number >= UINT32_MAX)
        return false;
    *ret_uid = (uint32_t)number;
    return true;
}

bool names_shown_user(struct names *names, const char *word, uint32_t *ret_uid)
{
    char name[USERNAME_MAX + 1];
    const struct local_user *user = NULL;
    const struct names_entry *entry = NULL;
    uint32_t uid;
    bool found = read_uid(word, &uid);
    if (!found && username_read(word, name)) {
        user = local_users_by_name(names_cache_files(names->cache), name);
        entry = user ? NULL : names_cache_word(names->cache, word);
        found = user || entry;
        uid = user ? user->uid : entry ? entry->uid : 0;
    }
    if (!found || strcmp(names_user(names, uid), word) != 0)
        return false;
    *ret_uid = uid;
    return true;
}

bool names_is_user(struct names *names, uint32_t uid, const char *word)
{
    char name[USERNAME_MAX + 1], spelled[USERNAME_MAX + 1];
    uint32_t number;
    if (username_is_number(word))
        return read_uid(word, &number) && number == uid;
    return username_read(word, name) && username_spell(name, spelled) &&
           !strcmp(names_user(names, uid), spelled);
}

/* Ask and wait a little. *ret_entry is NULL if it could not be asked. */
static enum names_result names_ask(struct names *names, enum names_question question, uint32_t uid,
                                   const char *name, const struct names_entry **ret_entry)
{
    const struct names_entry *entry = names_cache_lookup(names->cache, NULL, question, uid, name);
    if (entry && entry->asking)
        names_cache_wait(names->cache, entry);
    *ret_entry = entry;
    if (!entry || entry->asking)
        return NAMES_LATER;
    return entry->found ? NAMES_FOUND : NAMES_UNKNOWN;
}

/* Have the files as they are now. False: they are being read. */
static bool files_settle(struct names *names)
{
    const struct names_entry *reading = names_cache_check(names->cache, true);
    if (reading)
        names_cache_wait(names->cache, reading);
    return !reading || !reading->asking;
}

static enum names_result find_number(struct names *names, uint32_t uid, uint32_t *ret_gid)
{
    const struct names_entry *entry;
    const struct local_user *user = local_users_by_uid(names_cache_files(names->cache), uid);
    *ret_gid = user ? user->gid : NAMES_NO_GROUP;
    if (user || local_users_account(names_cache_files(names->cache), uid) != uid)
        return NAMES_FOUND;
    enum names_result result = names_ask(names, ASK_UID, uid, "", &entry);
    if (result == NAMES_FOUND)
        *ret_gid = entry->gid;
    return result == NAMES_LATER ? NAMES_LATER : NAMES_FOUND;
}

enum names_result names_find_user(struct names *names, const char *word, uint32_t *ret_uid,
                                  uint32_t *ret_gid)
{
    char name[USERNAME_MAX + 1];
    const struct names_entry *entry;
    if (!files_settle(names))
        return NAMES_LATER;
    if (username_is_number(word))
        return read_uid(word, ret_uid) ? find_number(names, *ret_uid, ret_gid) : NAMES_UNKNOWN;
    if (!username_read(word, name))
        return NAMES_UNKNOWN;
    const struct local_user *user = local_users_by_name(names_cache_files(names->cache), name);
    if (user) {
        *ret_uid = user->uid;
        *ret_gid = user->gid;
        return NAMES_FOUND;
    }
    enum names_result result = names_ask(names, ASK_USER, 0, name, &entry);
    if (result == NAMES_FOUND) {
        *ret_uid = entry->uid;
        *ret_gid = entry->gid;
    }
    return result;
}

enum names_result names_find_user_for(struct names *names, uint32_t account, const char *word,
                                      uint32_t *ret_uid)
{
    char name[USERNAME_MAX + 1] = "";
    const struct local_users *files = names_cache_files(names->cache);
    const bool is_number = username_is_number(word);
    uint32_t uid = 0;
    names_cache_check(names->cache, false);
    if (is_number ? !read_uid(word, &uid) : !username_read(word, name))
        return NAMES_UNKNOWN;
    const struct local_user *user =
        is_number ? local_users_by_uid(files, uid) : local_users_by_name(files, name);
    bool known = user || (is_number && local_users_account(files, uid) != uid);
    const struct names_entry *entry = NULL;
    if (!known) {
        entry =
            names_cache_lookup(names->cache, &account, is_number ? ASK_UID : ASK_USER, uid, name);
        if (!entry || entry->asking)
            return NAMES_LATER;
        if (!entry->found)
            return NAMES_UNKNOWN;
    }
    *ret_uid = user ? user->uid : entry ? entry->uid : uid;
    return NAMES_FOUND;
}

enum names_result names_find_group(struct names *names, const char *word, uint32_t *ret_gid)
{
    char name[USERNAME_MAX + 1];
    const struct names_entry *entry;
    if (!username_read(word, name))
        return NAMES_UNKNOWN;
    if (!files_settle(names))
        return NAMES_LATER;
    if (local_users_group(names_cache_files(names->cache), name, ret_gid))
        return NAMES_FOUND;
    enum names_result result = names_ask(names, ASK_GROUP, 0, name, &entry);
    if (result == NAMES_FOUND)
        *ret_gid = entry->gid;
    return result;
}

uint32_t names_account(const struct names *names, uint32_t uid)
{
    return local_users_account(names_cache_files(names->cache), uid);
}

const char *names_group(struct names *names, uint32_t gid)
{
    const struct local_users *files = names_cache_files(names->cache);
    const char *name = local_users_group_name(files, gid);
    if (!name || !username_spell(name, names->shown))
        snprintf(names->shown, sizeof(names->shown), "%u", (unsigned)gid);
    return names->shown;
}

bool names_shown_group(struct names *names, const char *word, uint32_t *ret_gid)
{
    char name[USERNAME_MAX + 1];
    uint32_t gid;
    names_cache_check(names->cache, false);
    bool found = username_is_number(word)
                     ? read_uid(word, &gid)
                     : username_read(word, name) &&
                           local_users_group(names_cache_files(names->cache), name, &gid);
    if (!found || strcmp(names_group(names, gid), word) != 0)
        return false;
    *ret_gid = gid;
    return true;
}

bool names_in_group(const struct names *names, uint32_t uid, uint32_t gid)
{
    const struct local_users *files = names_cache_files(names->cache);
    const struct local_user *user = local_users_by_uid(files, uid);
    return user && (user->gid == gid || local_users_is_member(files, user->name, gid));
}

uint32_t names_primary_group(const struct names *names, uint32_t uid, uint32_t otherwise)
{
    const struct local_user *user = local_users_by_uid(names_cache_files(names->cache), uid);
    return user ? user->gid : otherwise;
}
