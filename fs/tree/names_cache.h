/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of names.c have found: the files of /etc as they were read last, and answers of
 * directory services. Bounded; nothing here blocks but names_cache_wait.
 */
#ifndef CHRONOS_TREE_NAMES_CACHE_H
#define CHRONOS_TREE_NAMES_CACHE_H

#include "core/base/mailbox.h"
#include "core/base/username.h"
#include "local_users.h"
#include "names.h"

enum names_question { ASK_UID, ASK_USER, ASK_GROUP, ASK_FILES, ASK_NOTHING };

/* A question and its answer. */
struct names_entry {
    struct mail mail;                  /* on its way to a thread and back */
    struct names_entry *next;          /* in its bucket */
    struct names_entry *older, *newer; /* of the answered ones, by time of the answer */
    struct names_entry *same_word;     /* in the bucket of its word */
    enum names_question question;
    uint32_t uid, gid; /* ASK_UID: uid is the question; otherwise the answer */
    char name[USERNAME_MAX + 1];
    char word[USERNAME_MAX + 1]; /* ASK_UID: the name as a word; "": it has none */
    bool found, asking, answered;
    uint32_t asker; /* the place of the account that asks; 0: not asked for one */
    int64_t answered_ns;
    /* written by the thread while `asking`; as names_system says */
    int thread_result;
    uint32_t thread_uid, thread_gid;
    char thread_name[USERNAME_MAX + 1];
    struct local_users *thread_files; /* ASK_FILES */
};

struct names_cache;

int names_cache_new(const struct names_system *system, struct names_cache **ret_cache);
struct names_cache *names_cache_free(struct names_cache *cache);
int names_cache_fd(const struct names_cache *cache);
/* Collect answers. True: the files have changed. */
bool names_cache_collect(struct names_cache *cache);
/* The files as they were read last. */
const struct local_users *names_cache_files(const struct names_cache *cache);
/* Let a thread read the files if they have changed; at most once a second unless `now`. Return the
 * question that is in progress, or NULL. */
const struct names_entry *names_cache_check(struct names_cache *cache, bool now);
/* Return the entry for a question, answered or in progress. NULL: too many are in progress, or out
 * of memory. With an `account` also if another question that it has asked is in progress. */
const struct names_entry *names_cache_lookup(struct names_cache *cache, const uint32_t *account,
                                             enum names_question question, uint32_t uid,
                                             const char *name);
/* Find the entry of the user with this word, without a lookup. */
const struct names_entry *names_cache_word(const struct names_cache *cache, const char *word);
/* Wait a little for an answer. */
void names_cache_wait(struct names_cache *cache, const struct names_entry *entry);

#endif
