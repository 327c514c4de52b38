/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the kernel to forget; see notifier.h. */
#define FUSE_USE_VERSION 314
#include "notifier.h"

#include "tree.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stale {
    struct stale *next;
    bool gone;       /* its names are */
    bool attributes; /* owner, size or time of its files are */
    bool setting;    /* the policy changed */
    uint64_t id;
    uint32_t device;
};

struct notifier {
    struct fuse_session *session;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct stale *first, **last; /* under lock */
    bool stop;                   /* under lock */
};

static void forget_name(struct notifier *notifier, const struct node *parent, uint64_t id)
{
    char name[32];
    int length = snprintf(name, sizeof(name), "p%llu", (unsigned long long)id);
    fuse_lowlevel_notify_inval_entry(notifier->session, node_id(parent), name, (size_t)length);
}

static void forget_node(struct notifier *notifier, const struct node *node)
{
    fuse_lowlevel_notify_inval_inode(notifier->session, node_id(node), -1, 0);
}

static void forget_files(struct notifier *notifier, enum dir_kind dir, uint64_t object)
{
    for (const struct file_row *row = tree_rows(dir); row->name; row++) {
        struct node file = {.dir = dir, .object = object, .file = node_file_hash(row->name)};
        forget_node(notifier, &file);
    }
}

static void forget(struct notifier *notifier, const struct stale *stale)
{
    struct node partition = {.dir = DIR_PARTITION, .object = stale->id};
    struct node link = {.dir = DIR_PARTITIONS, .object = stale->id, .link = true};
    if (stale->setting) {
        forget_files(notifier, DIR_CONFIG, 0);
        forget_files(notifier, DIR_ROOT, 0);
    }
    if (stale->attributes) {
        forget_node(notifier, &partition);
        forget_node(notifier, &link);
        forget_files(notifier, DIR_PARTITION, stale->id);
    }
    if (stale->gone) {
        struct node device = {.dir = DIR_DEVICE, .object = stale->device};
        struct node partitions = {.dir = DIR_PARTITIONS};
        forget_name(notifier, &partitions, stale->id);
        forget_name(notifier, &device, stale->id);
    }
}

static void *notifier_thread(void *argument)
{
    struct notifier *notifier = argument;
    pthread_mutex_lock(&notifier->lock);
    while (!notifier->stop) {
        struct stale *stale = notifier->first;
        if (!stale) {
            pthread_cond_wait(&notifier->wake, &notifier->lock);
            continue;
        }
        notifier->first = stale->next;
        if (!stale->next)
            notifier->last = &notifier->first;
        pthread_mutex_unlock(&notifier->lock);
        forget(notifier, stale);
        free(stale);
        pthread_mutex_lock(&notifier->lock);
    }
    pthread_mutex_unlock(&notifier->lock);
    return NULL;
}

int notifier_new(struct fuse_session *session, struct notifier **ret_notifier)
{
    struct notifier *notifier = calloc(1, sizeof(*notifier));
    if (!notifier)
        return -ENOMEM;
    notifier->session = session;
    notifier->last = &notifier->first;
    pthread_mutex_init(&notifier->lock, NULL);
    pthread_cond_init(&notifier->wake, NULL);
    int r = -pthread_create(&notifier->thread, NULL, notifier_thread, notifier);
    if (r) {
        notifier_free(notifier);
        return r;
    }
    notifier->running = true;
    *ret_notifier = notifier;
    return 0;
}

struct notifier *notifier_free(struct notifier *notifier)
{
    if (!notifier)
        return NULL;
    if (notifier->running) {
        pthread_mutex_lock(&notifier->lock);
        notifier->stop = true;
        pthread_cond_signal(&notifier->wake);
        pthread_mutex_unlock(&notifier->lock);
        pthread_join(notifier->thread, NULL);
    }
    for (struct stale *stale = notifier->first, *next; stale; stale = next) {
        next = stale->next;
        free(stale);
    }
    pthread_cond_destroy(&notifier->wake);
    pthread_mutex_destroy(&notifier->lock);
    free(notifier);
    return NULL;
}

void notifier_events(struct notifier *notifier, const struct engine_event *events, bool taken_back)
{
    for (; events; events = events->next) {
        enum event_kind kind = events->kind;
        if (!taken_back && (kind == EVENT_CREATED || kind == EVENT_EXPIRED))
            continue;
        struct stale *stale = calloc(1, sizeof(*stale));
        if (!stale)
            continue; /* it is forgotten by its timeout, later */
        stale->setting = kind == EVENT_SETTING;
        stale->gone = taken_back || event_kind_is_end(kind) || kind == EVENT_SHORTENED;
        stale->attributes = !stale->setting && (taken_back || !event_kind_is_end(kind));
        stale->id = events->after.id;
        stale->device = events->after.device;
        pthread_mutex_lock(&notifier->lock);
        *notifier->last = stale;
        notifier->last = &stale->next;
        pthread_cond_signal(&notifier->wake);
        pthread_mutex_unlock(&notifier->lock);
    }
}
