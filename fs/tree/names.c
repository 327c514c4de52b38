/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users and groups; see names.h. */
#include "names.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/mailbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LENGTH 64
/* Look up again after this time. */
#define NAMES_FRESH_NS (60 * NS_PER_SECOND)
#define NAMES_BUCKETS  256u
/* A line of /etc/group grows with the group's members. */
#define NAMES_LINE_MAX 1048576u
/* The longest time that the loop waits for a result. */
#define NAMES_WAIT_NS (20 * NS_PER_MS)
/* With this many entries, print new uids as numbers and do not look them up. */
#define NAMES_MAX 8192u

enum question { ASK_UID, ASK_USER, ASK_GROUP };

struct entry {
    struct mail mail;        /* on its way to the thread and back */
    struct entry *next;      /* in its bucket */
    struct entry *same_name; /* ASK_UID: next in the bucket of its name */
    bool by_name;
    enum question question;
    uint32_t uid, gid; /* ASK_UID: uid is the question; otherwise the answer */
    char name[NAME_MAX_LENGTH + 1];
    bool found, asking, answered;
    int64_t answered_ns;
    /* written by the thread while `asking` */
    bool thread_found;
    uint32_t thread_uid, thread_gid;
    char thread_name[NAME_MAX_LENGTH + 1];
};

struct names {
    struct entry *buckets[NAMES_BUCKETS];
    struct entry *by_name[NAMES_BUCKETS]; /* answered ASK_UID entries */
    unsigned count;
    char number[16];
    char *buffer;                 /* for one line of a file */
    struct mailbox_thread thread; /* in: entries to look up; out: results */
};

/* Reject names that would be ambiguous where they are printed (a path, a word of a line, a number);
 * such a user is shown as a number. */
static bool name_is_plain(const char *name)
{
    size_t length = strlen(name);
    if (!length || length > NAME_MAX_LENGTH || *name == '.' || *name == '-' ||
        strspn(name, "0123456789") == length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] >= 0x7f || strchr("/=\"\\,:", name[i]))
            return false;
    return true;
}

static void entry_from_passwd(struct entry *entry, const struct passwd *pw)
{
    entry->thread_found = pw && name_is_plain(pw->pw_name);
    if (!entry->thread_found)
        return;
    entry->thread_uid = pw->pw_uid;
    entry->thread_gid = pw->pw_gid;
    snprintf(entry->thread_name, sizeof(entry->thread_name), "%s", pw->pw_name);
}

/* Ask the system's databases. Can block. */
static void entry_ask(struct entry *entry)
{
    char buffer[16384];
    struct passwd pw, *found = NULL;
    struct group gr, *found_group = NULL;
    if (entry->question == ASK_UID) {
        getpwuid_r(entry->uid, &pw, buffer, sizeof(buffer), &found);
        entry_from_passwd(entry, found);
    } else if (entry->question == ASK_USER) {
        getpwnam_r(entry->name, &pw, buffer, sizeof(buffer), &found);
        entry_from_passwd(entry, found);
    } else {
        getgrnam_r(entry->name, &gr, buffer, sizeof(buffer), &found_group);
        entry->thread_found = found_group;
        entry->thread_gid = found_group ? found_group->gr_gid : 0;
    }
}

static void *names_thread(void *argument)
{
    struct names *names = argument;
    while (!mailbox_is_closed(&names->thread.in)) {
        mailbox_wait(&names->thread.in, -1);
        struct mail *mail = mailbox_take(&names->thread.in);
        for (struct mail *next; mail && !mailbox_is_closed(&names->thread.in); mail = next) {
            next = mail->next;
            entry_ask((struct entry *)mail);
            mailbox_put(&names->thread.out, mail);
        }
    }
    return NULL;
}

int names_new(struct names **ret_names)
{
    struct names *names = calloc(1, sizeof(*names));
    if (!names)
        return -ENOMEM;
    names->buffer = malloc(NAMES_LINE_MAX);
    int r = names->buffer ? mailbox_thread_start(&names->thread, names_thread, names) : -ENOMEM;
    if (r) {
        names_free(names);
        return r;
    }
    *ret_names = names;
    return 0;
}

struct names *names_free(struct names *names)
{
    if (!names)
        return NULL;
    mailbox_thread_stop(&names->thread);
    mailbox_thread_free(&names->thread);
    for (unsigned i = 0; i < NAMES_BUCKETS; i++)
        for (struct entry *entry = names->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    free(names->buffer);
    free(names);
    return NULL;
}

int names_fd(const struct names *names)
{
    return names->thread.out.fd;
}

static unsigned bucket_of(enum question question, uint32_t uid, const char *name)
{
    uint64_t hash = hash_bytes(HASH_START, &question, sizeof(question));
    hash = question == ASK_UID ? hash_bytes(hash, &uid, sizeof(uid)) : hash_text(hash, name);
    return (unsigned)(hash ^ hash >> 32) % NAMES_BUCKETS;
}

static void entry_take_answer(struct names *names, struct entry *entry)
{
    entry->found = entry->thread_found;
    entry->asking = false;
    entry->answered = true;
    entry->answered_ns = clock_monotonic_ns();
    if (!entry->found)
        return;
    entry->gid = entry->thread_gid;
    if (entry->question == ASK_USER)
        entry->uid = entry->thread_uid;
    if (entry->question != ASK_UID || entry->by_name)
        return; /* a user renamed while the daemon runs keeps the old name */
    memcpy(entry->name, entry->thread_name, sizeof(entry->name));
    struct entry **bucket = &names->by_name[bucket_of(ASK_USER, 0, entry->name)];
    entry->same_name = *bucket;
    *bucket = entry;
    entry->by_name = true;
}

void names_collect(struct names *names)
{
    struct mail *mail = mailbox_take(&names->thread.out);
    for (struct mail *next; mail; mail = next) {
        next = mail->next;
        entry_take_answer(names, (struct entry *)mail);
    }
}

/* Search /etc/passwd or /etc/group, which are small and local. Return whether it found the
 * entry. */
static bool entry_from_files(struct names *names, struct entry *entry)
{
    char *buffer = names->buffer;
    bool found = false;
    FILE *file = fopen(entry->question == ASK_GROUP ? "/etc/group" : "/etc/passwd", "re");
    if (!file)
        return false;
    struct passwd pw, *user = NULL;
    struct group gr, *group = NULL;
    if (entry->question == ASK_GROUP) {
        while (!found && !fgetgrent_r(file, &gr, buffer, NAMES_LINE_MAX, &group))
            found = !strcmp(group->gr_name, entry->name);
        entry->thread_found = found;
        entry->thread_gid = found ? group->gr_gid : 0;
    } else {
        while (!found && !fgetpwent_r(file, &pw, buffer, NAMES_LINE_MAX, &user))
            found = entry->question == ASK_UID ? user->pw_uid == entry->uid
                                               : !strcmp(user->pw_name, entry->name);
        if (found)
            entry_from_passwd(entry, user);
    }
    fclose(file);
    return found;
}

/* Return the entry for a question, answered or in progress; NULL: too many entries, or out of
 * memory. */
static struct entry *names_lookup(struct names *names, enum question question, uint32_t uid,
                                  const char *name)
{
    struct entry **bucket = &names->buckets[bucket_of(question, uid, name)];
    struct entry *entry = *bucket;
    while (entry && (entry->question != question ||
                     (question == ASK_UID ? entry->uid != uid : strcmp(entry->name, name) != 0)))
        entry = entry->next;
    if (!entry) {
        bool full = question == ASK_UID && names->count >= NAMES_MAX;
        entry = full ? NULL : calloc(1, sizeof(*entry));
        if (!entry)
            return NULL;
        names->count++;
        entry->question = question;
        entry->uid = uid;
        if (question != ASK_UID)
            snprintf(entry->name, sizeof(entry->name), "%s", name);
        entry->next = *bucket;
        *bucket = entry;
    }
    if (entry->asking ||
        (entry->answered && clock_monotonic_ns() - entry->answered_ns < NAMES_FRESH_NS))
        return entry;
    if (entry_from_files(names, entry)) {
        entry_take_answer(names, entry);
    } else {
        entry->asking = true;
        mailbox_put(&names->thread.in, &entry->mail);
    }
    return entry;
}

/* Wait a little for the result, so that a mistyped name is refused as unknown. Only requests of
 * administrators get here. */
static void names_wait(struct names *names, const struct entry *entry)
{
    const int64_t until_ns = clock_monotonic_ns() + NAMES_WAIT_NS;
    int64_t left_ns;
    while (entry->asking && (left_ns = until_ns - clock_monotonic_ns()) > 0) {
        mailbox_wait(&names->thread.out, (int)(left_ns / NS_PER_MS) + 1);
        names_collect(names);
    }
}

static enum names_result entry_result(const struct entry *entry)
{
    if (!entry)
        return NAMES_UNKNOWN;
    if (!entry->answered)
        return NAMES_LATER;
    return entry->found ? NAMES_FOUND : NAMES_UNKNOWN;
}

const char *names_user(struct names *names, uint32_t uid)
{
    const struct entry *entry = names_lookup(names, ASK_UID, uid, "");
    if (entry_result(entry) == NAMES_FOUND)
        return entry->name;
    snprintf(names->number, sizeof(names->number), "%u", (unsigned)uid);
    return names->number;
}

bool names_shown_user(struct names *names, const char *name, uint32_t *ret_uid)
{
    if (strlen(name) > NAME_MAX_LENGTH)
        return false;
    const struct entry *entry = names->by_name[bucket_of(ASK_USER, 0, name)];
    while (entry && strcmp(entry->name, name) != 0)
        entry = entry->same_name;
    if (entry)
        *ret_uid = entry->uid;
    return entry;
}

enum names_result names_find_user(struct names *names, const char *name, uint32_t *ret_uid,
                                  uint32_t *ret_gid)
{
    if (strlen(name) > NAME_MAX_LENGTH)
        return NAMES_UNKNOWN;
    const struct entry *entry;
    size_t digits = strspn(name, "0123456789");
    if (digits && digits < 10 && !name[digits])
        entry = names_lookup(names, ASK_UID, (uint32_t)strtoul(name, NULL, 10), "");
    else
        entry = names_lookup(names, ASK_USER, 0, name);
    if (entry && entry->asking && !entry->answered)
        names_wait(names, entry);
    enum names_result result = entry_result(entry);
    if (result == NAMES_FOUND) {
        *ret_uid = entry->uid;
        *ret_gid = entry->gid;
    }
    return result;
}

enum names_result names_find_group(struct names *names, const char *name, uint32_t *ret_gid)
{
    if (strlen(name) > NAME_MAX_LENGTH)
        return NAMES_UNKNOWN;
    const struct entry *entry = names_lookup(names, ASK_GROUP, 0, name);
    if (entry && entry->asking && !entry->answered)
        names_wait(names, entry);
    enum names_result result = entry_result(entry);
    if (result == NAMES_FOUND)
        *ret_gid = entry->gid;
    return result;
}
