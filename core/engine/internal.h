/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the engine, shared by its files only: how partitions, devices,
 * settings and events are kept. Everything here is bookkeeping; what is allowed
 * is decided in admit.c and change.c.
 */
#ifndef CHRONOS_ENGINE_INTERNAL_H
#define CHRONOS_ENGINE_INTERNAL_H

#include "core/base/avl.h"
#include "core/base/message.h"
#include "engine.h"
#include "policy.h"
#include "timeline.h"

/* A live partition and its place in every order. */
struct entry {
    struct partition partition;
    struct avl_node by_id;      /* of all */
    struct avl_node by_device;  /* of its device, by id */
    struct avl_node by_user;    /* uid, id */
    struct avl_node by_hold;    /* hold, id; only while hold is not 0 */
    struct avl_node by_end;     /* end_ns, id */
    struct avl_node by_warning; /* when it is due, id; only while a warning is to come */
    /* of the subtree below by_user */
    uint64_t user_count, user_bytes;
    struct timeline_point start, end;
};

struct device {
    struct engine_device device;
    struct avl partitions;
    struct timeline timeline;
    uint64_t count;       /* partitions */
    uint64_t total_bytes; /* of all its partitions, whenever they are */
};

struct setting_entry {
    struct avl_node node;
    char key[ENGINE_KEY_MAX];
    char value[ENGINE_VALUE_MAX];
};

struct engine {
    engine_time_text_fn *time_text;
    void *context;
    struct device *devices;
    uint32_t device_count;
    struct avl by_id, by_user, by_hold, by_end, by_warning, settings;
    uint64_t count;
    /* the first end and the first warning of all; ENGINE_FOREVER when there is none */
    int64_t next_end_ns, next_warning_ns;
    struct policy policy;
    uint64_t next_id, next_seq;
    struct engine_event *first_event, *last_event;
};

/* The refusal `code` with a message in *why, as a return value. */
#define refuse(code, why, ...)                                                                     \
    message_refuse((code), (why)->message, sizeof(why)->message, __VA_ARGS__)

/* -- book.c: partitions in their orders ---------------------------------- */

void index_init(struct engine *engine);
void index_init_device(struct device *device);
void index_add(struct engine *engine, struct entry *entry);
void index_remove(struct engine *engine, struct entry *entry);
/* Makes an entry another record with the same id, in every order. */
void index_change(struct engine *engine, struct entry *entry, const struct partition *partition);
struct entry *index_find(const struct engine *engine, uint64_t id);
/* The first entry after (hold, id) that is tied to the same open file. */
struct entry *index_next_held(const struct engine *engine, uint64_t hold, uint64_t after_id);
/* The first entry after (end_ns, id) in the order of ends. */
struct entry *index_next_end(const struct engine *engine, int64_t end_ns, uint64_t after_id);
/* The first of those whose warning is to come; the one after `entry`. */
struct entry *index_first_warning(const struct engine *engine);
struct entry *index_next_warning(const struct engine *engine, const struct entry *entry);

/* -- admit.c: is there room, and may this caller have it ------------------ */

/* Where `request` can be granted from now_ns on, and how many bytes that is. */
int admission_create(const struct engine *engine, const struct call *call, uint32_t device,
                     const struct request *request, uint32_t *ret_device, uint64_t *ret_bytes);
int admission_resize(const struct engine *engine, const struct call *call,
                     const struct partition *partition, uint64_t bytes);
int admission_end(const struct engine *engine, const struct call *call,
                  const struct partition *partition, int64_t end_ns);

/* -- ladder.c: how partitions end ------------------------------------------ */

/* When the warning of a partition that has one is due. */
static inline int64_t ending_warning_ns(const struct partition *partition)
{
    if (partition->end_ns < INT64_MIN + partition->warn.ns)
        return INT64_MIN;
    return partition->end_ns - partition->warn.ns;
}
/* Whether its warning is still to come. */
static inline bool ladder_waits(const struct partition *partition)
{
    return partition->warn.ns > 0 && !partition->warned;
}
/* Puts into the record what `change` sets, when the caller may choose it. */
int ending_apply(const struct engine *engine, const struct call *call,
                 const struct ending_change *change, struct partition *partition);
/* After its end or its warn.ns became another: is it still warned? True when the
 * warning must come now. */
bool ending_settle(struct partition *partition, int64_t now_ns);

/* -- setting.c ------------------------------------------------------------ */

void settings_init(struct engine *engine);
void settings_free(struct engine *engine);
struct setting_entry *settings_find(const struct engine *engine, const char *key);
/* Puts `value` in force; "" takes the key out and frees its entry. `spare` is
 * used when the key is new, and freed otherwise. */
void settings_put(struct engine *engine, struct setting_entry *spare, const char *key,
                  const char *value);

/* -- event.c --------------------------------------------------------------- */

struct engine_event *journal_new(enum event_kind kind, int64_t at_ns, uint32_t by_uid);
/* Numbers an event and puts it at the end of those to be taken. */
void journal_append(struct engine *engine, struct engine_event *event);
/* Ends `entry` as `event` says; the event was made with journal_new. */
void journal_end(struct engine *engine, struct engine_event *event, struct entry *entry);
/* Makes `entry` one that was warned; the event is an EVENT_WARNED. */
void journal_warn(struct engine *engine, struct engine_event *event, struct entry *entry);

#endif
