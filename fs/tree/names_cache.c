/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about names; see names_cache.h. */
#include "names_cache.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "names_askers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Look up again after this time; look whether the files have changed after that one. */
#define NAMES_FRESH_NS (60 * NS_PER_SECOND)
#define FILES_FRESH_NS NS_PER_SECOND
#define NAMES_BUCKETS  1024u
/* The longest time that the loop waits for answers in a second. */
#define NAMES_WAIT_NS (20 * NS_PER_MS)
/* With this many entries, the one answered first makes room for the next, and of those rather one
 * without a name: uids can be made up, names cannot. */
#define NAMES_MAX 8192u
/* With this many questions in progress, ask no more: uids are printed as numbers until then. */
#define NAMES_ASKING_MAX 256u

/* Answered entries, in the order of their answers. */
struct answers {
    struct names_entry *oldest, *newest;
};

struct names_cache {
    const struct names_system *system;
    struct local_users *files;
    struct names_entry ask_files;
    int64_t checked_ns; /* when the files were last looked at */
    struct names_entry *buckets[NAMES_BUCKETS];
    struct names_entry *by_word[NAMES_BUCKETS]; /* ASK_UID entries with a word */
    struct answers answers[2];                  /* without, with a result */
    unsigned count, asking;
    struct names_askers askers;
    int64_t waited_from_ns, waited_ns; /* beginning of a second, and the time waited in it */
    bool files_changed;
    struct names_entry wakeup; /* keeps `out` readable after a wait has emptied it */
    /* In: entries to look up; out: results of both. A directory service that hangs must not delay
     * the files. */
    struct mailbox_thread thread, files_thread;
};

/* -- the threads ------------------------------------------------------------------ */

/* Find a name that leads back to the uid. */
static void ask_user_name(const struct names_system *system, struct names_entry *entry)
{
    uint32_t uid, gid;
    entry->thread_result = system->user_name(entry->uid, entry->thread_name,
                                             sizeof(entry->thread_name), &entry->thread_gid);
    if (entry->thread_result != 1)
        return;
    int r = system->user(entry->thread_name, &uid, &gid);
    entry->thread_result = r < 0 ? r : r && uid == entry->uid;
}

/* Ask the system's databases. Can block. */
static void entry_ask(const struct names_system *system, struct names_entry *entry)
{
    if (entry->question == ASK_UID)
        ask_user_name(system, entry);
    else if (entry->question == ASK_USER)
        entry->thread_result = system->user(entry->name, &entry->thread_uid, &entry->thread_gid);
    else if (entry->question == ASK_GROUP)
        entry->thread_result = system->group(entry->name, &entry->thread_gid);
    else
        entry->thread_result = local_users_read(system->etc, &entry->thread_files);
}

static void work(struct names_cache *cache, struct mailbox *in)
{
    while (!mailbox_is_closed(in)) {
        mailbox_wait(in, -1);
        struct mail *mail = mailbox_take(in);
        for (struct mail *next; mail && !mailbox_is_closed(in); mail = next) {
            next = mail->next;
            entry_ask(cache->system, (struct names_entry *)mail);
            mailbox_put(&cache->thread.out, mail);
        }
    }
}

static void *names_thread(void *context)
{
    struct names_cache *cache = context;
    work(cache, &cache->thread.in);
    return NULL;
}

static void *files_thread(void *context)
{
    struct names_cache *cache = context;
    work(cache, &cache->files_thread.in);
    return NULL;
}

int names_cache_new(const struct names_system *system, struct names_cache **ret_cache)
{
    struct names_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    cache->system = system;
    cache->ask_files.question = ASK_FILES;
    cache->wakeup.question = ASK_NOTHING;
    int r = local_users_read(system->etc, &cache->files);
    cache->checked_ns = clock_monotonic_ns();
    if (!r)
        r = mailbox_thread_start(&cache->thread, names_thread, cache);
    if (!r)
        r = mailbox_thread_start(&cache->files_thread, files_thread, cache);
    if (r) {
        names_cache_free(cache);
        return r;
    }
    *ret_cache = cache;
    return 0;
}

struct names_cache *names_cache_free(struct names_cache *cache)
{
    if (!cache)
        return NULL;
    mailbox_thread_stop(&cache->files_thread);
    mailbox_thread_stop(&cache->thread);
    mailbox_thread_free(&cache->files_thread);
    mailbox_thread_free(&cache->thread);
    for (unsigned i = 0; i < NAMES_BUCKETS; i++)
        for (struct names_entry *entry = cache->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    local_users_free(cache->ask_files.thread_files);
    local_users_free(cache->files);
    free(cache);
    return NULL;
}

int names_cache_fd(const struct names_cache *cache)
{
    return cache->thread.out.fd;
}

/* -- the files ---------------------------------------------------------------------- */

const struct local_users *names_cache_files(const struct names_cache *cache)
{
    return cache->files;
}

const struct names_entry *names_cache_check(struct names_cache *cache, bool now)
{
    struct names_entry *entry = &cache->ask_files;
    int64_t now_ns = clock_monotonic_ns();
    if (entry->asking)
        return entry;
    if (!now && now_ns - cache->checked_ns < FILES_FRESH_NS)
        return NULL;
    cache->checked_ns = now_ns;
    if (!local_users_changed(cache->files))
        return NULL;
    entry->asking = true;
    mailbox_put(&cache->files_thread.in, &entry->mail);
    return entry;
}

static void files_take(struct names_cache *cache)
{
    struct names_entry *entry = &cache->ask_files;
    entry->asking = false;
    if (entry->thread_result) /* keep what was known, and try again later */
        return;
    local_users_free(cache->files);
    cache->files = entry->thread_files;
    entry->thread_files = NULL;
    cache->files_changed = true;
    /* libc may have read them too, so ask it again. */
    for (int found = 0; found < 2; found++)
        for (entry = cache->answers[found].oldest; entry; entry = entry->newer)
            entry->answered_ns -= NAMES_FRESH_NS;
}

/* -- words -------------------------------------------------------------------------- */

static unsigned bucket_of(enum names_question question, uint32_t uid, const char *name)
{
    uint64_t hash = hash_bytes(HASH_START, &question, sizeof(question));
    hash = question == ASK_UID ? hash_bytes(hash, &uid, sizeof(uid)) : hash_text(hash, name);
    return (unsigned)(hash ^ hash >> 32) % NAMES_BUCKETS;
}

static struct names_entry *word_find(const struct names_cache *cache, const char *word)
{
    struct names_entry *entry = cache->by_word[bucket_of(ASK_USER, 0, word)];
    while (entry && strcmp(entry->word, word) != 0)
        entry = entry->same_word;
    return entry;
}

const struct names_entry *names_cache_word(const struct names_cache *cache, const char *word)
{
    return word_find(cache, word);
}

static void word_remove(struct names_cache *cache, struct names_entry *entry)
{
    if (!*entry->word)
        return;
    struct names_entry **at = &cache->by_word[bucket_of(ASK_USER, 0, entry->word)];
    while (*at != entry)
        at = &(*at)->same_word;
    *at = entry->same_word;
    *entry->word = '\0';
}

/* Give the entry its word. Another user that had it has been renamed: look that one up again. */
static void word_add(struct names_cache *cache, struct names_entry *entry, const char *word)
{
    struct names_entry *other = word_find(cache, word);
    if (other) {
        word_remove(cache, other);
        other->answered_ns -= NAMES_FRESH_NS;
    }
    memcpy(entry->word, word, sizeof(entry->word));
    struct names_entry **bucket = &cache->by_word[bucket_of(ASK_USER, 0, word)];
    entry->same_word = *bucket;
    *bucket = entry;
}

/* -- answers ------------------------------------------------------------------------ */

static void answers_add(struct answers *answers, struct names_entry *entry)
{
    entry->older = answers->newest;
    entry->newer = NULL;
    *(answers->newest ? &answers->newest->newer : &answers->oldest) = entry;
    answers->newest = entry;
}

static void answers_remove(struct answers *answers, struct names_entry *entry)
{
    *(entry->older ? &entry->older->newer : &answers->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &answers->newest) = entry->older;
}

static void entry_take_answer(struct names_cache *cache, struct names_entry *entry)
{
    char word[USERNAME_MAX + 1];
    entry->asking = false;
    cache->asking--;
    names_askers_free(&cache->askers, entry->asker);
    entry->asker = 0;
    entry->answered_ns = clock_monotonic_ns();
    /* After a failure of the service, what it said before stays. */
    if (entry->thread_result >= 0 || !entry->answered) {
        word_remove(cache, entry);
        entry->found = entry->thread_result == 1;
        if (entry->found)
            entry->gid = entry->thread_gid;
        if (entry->found && entry->question == ASK_USER)
            entry->uid = entry->thread_uid;
        if (entry->found && entry->question == ASK_UID && username_spell(entry->thread_name, word))
            word_add(cache, entry, word);
    }
    entry->answered = true;
    answers_add(&cache->answers[entry->found], entry);
}

static bool collect(struct names_cache *cache)
{
    struct mail *mail = mailbox_take(&cache->thread.out);
    bool any = mail;
    for (struct mail *next; mail; mail = next) {
        struct names_entry *entry = (struct names_entry *)mail;
        next = mail->next;
        if (entry->question == ASK_NOTHING)
            entry->asking = false;
        else if (entry->question == ASK_FILES)
            files_take(cache);
        else
            entry_take_answer(cache, entry);
    }
    return any;
}

bool names_cache_collect(struct names_cache *cache)
{
    collect(cache);
    bool changed = cache->files_changed;
    cache->files_changed = false;
    return changed;
}

/* However many requests wait, they take little of the loop's time: all others wait with them. */
void names_cache_wait(struct names_cache *cache, const struct names_entry *entry)
{
    const int64_t started_ns = clock_monotonic_ns();
    int64_t now_ns = started_ns;
    bool any = false;
    if (now_ns - cache->waited_from_ns >= NS_PER_SECOND) {
        cache->waited_from_ns = now_ns;
        cache->waited_ns = 0;
    }
    const int64_t until_ns = now_ns + NAMES_WAIT_NS - cache->waited_ns;
    while (entry->asking && now_ns < until_ns) {
        mailbox_wait(&cache->thread.out, (int)((until_ns - now_ns) / NS_PER_MS) + 1);
        any |= collect(cache);
        now_ns = clock_monotonic_ns();
    }
    cache->waited_ns += now_ns - started_ns;
    if (any && !cache->wakeup.asking) {
        cache->wakeup.asking = true;
        mailbox_put(&cache->thread.out, &cache->wakeup.mail);
    }
}

/* -- questions ---------------------------------------------------------------------- */

/* Free the entry that makes room for another one. False: all are in progress. */
static bool evict(struct names_cache *cache)
{
    struct answers *answers = &cache->answers[!cache->answers[0].oldest];
    struct names_entry *entry = answers->oldest;
    if (!entry)
        return false;
    struct names_entry **at = &cache->buckets[bucket_of(entry->question, entry->uid, entry->name)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    word_remove(cache, entry);
    answers_remove(answers, entry);
    free(entry);
    cache->count--;
    return true;
}

static struct names_entry *entry_find(struct names_cache *cache, enum names_question question,
                                      uint32_t uid, const char *name)
{
    struct names_entry *entry = cache->buckets[bucket_of(question, uid, name)];
    while (entry && (entry->question != question ||
                     (question == ASK_UID ? entry->uid != uid : strcmp(entry->name, name) != 0)))
        entry = entry->next;
    return entry;
}

static struct names_entry *entry_new(struct names_cache *cache, enum names_question question,
                                     uint32_t uid, const char *name)
{
    if (cache->count >= NAMES_MAX && !evict(cache))
        return NULL;
    struct names_entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    cache->count++;
    entry->question = question;
    entry->uid = uid;
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    struct names_entry **bucket = &cache->buckets[bucket_of(question, uid, name)];
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

const struct names_entry *names_cache_lookup(struct names_cache *cache, const uint32_t *account,
                                             enum names_question question, uint32_t uid,
                                             const char *name)
{
    struct names_entry *entry = entry_find(cache, question, uid, name);
    bool fresh =
        entry && entry->answered && clock_monotonic_ns() - entry->answered_ns < NAMES_FRESH_NS;
    if (fresh || (entry && entry->asking) || cache->asking >= NAMES_ASKING_MAX)
        return entry;
    uint32_t asker = account ? names_askers_take(&cache->askers, *account) : 0;
    if (account && !asker)
        return NULL;
    if (!entry)
        entry = entry_new(cache, question, uid, name);
    if (!entry) {
        names_askers_free(&cache->askers, asker);
        return NULL;
    }
    entry->asker = asker;
    if (entry->answered)
        answers_remove(&cache->answers[entry->found], entry);
    entry->asking = true;
    cache->asking++;
    mailbox_put(&cache->thread.in, &entry->mail);
    return entry;
}
