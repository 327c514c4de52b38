/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine again, written as simply as possible: an array of partitions, and a scan of all of
 * them for every query. Shares no code with the engine except the structs of its interface. See
 * model.c.
 */
#ifndef CHRONOS_TESTS_ENGINE_REFERENCE_H
#define CHRONOS_TESTS_ENGINE_REFERENCE_H

#include "core/engine/engine.h"

#define REFERENCE_DEVICES    4
#define REFERENCE_PARTITIONS 96
#define REFERENCE_EVENTS     512

/* Indices of reference_state.texts. */
enum {
    TEXT_MIN_DURATION,
    TEXT_MAX_DURATION,
    TEXT_MAX_FRACTION,
    TEXT_ALLOWED,
    TEXT_MAX_GRACE,
    TEXT_DEFAULT_WARN,
    TEXT_FREE,
    REFERENCE_KEYS
};
extern const char *const reference_keys[REFERENCE_KEYS];

/* Settings, as numbers. */
struct reference_policy {
    int64_t min_ns, max_ns;
    uint64_t max_ppm;
    uint32_t allowed_on_expiry;
    int64_t max_grace_ns, default_warn_ns;
};

/* The state that a revert restores. */
struct reference_state {
    struct partition live[REFERENCE_PARTITIONS]; /* in order of id */
    struct guests guests[REFERENCE_PARTITIONS];  /* of each of them */
    size_t count;
    struct reference_policy policy;
    char texts[REFERENCE_KEYS][ENGINE_VALUE_MAX]; /* values of the settings; "" if unset */
};

struct reference {
    struct engine_device devices[REFERENCE_DEVICES];
    uint32_t device_count;
    struct reference_state now, durable;
    uint64_t next_id, next_seq;
    struct engine_event events[REFERENCE_EVENTS]; /* expected events, oldest first */
    size_t event_count;
};

struct partition *reference_find(struct reference *reference, uint64_t id);
uint64_t reference_promised(const struct reference *reference, uint32_t device, int64_t at_ns);
uint64_t reference_peak(const struct reference *reference, uint32_t device, int64_t from_ns,
                        int64_t until_ns, uint64_t but_id);
int64_t reference_earliest(const struct reference *reference, uint32_t device, int64_t now_ns,
                           uint64_t bytes, int64_t duration_ns);
/* The time of the next warning or end. */
int64_t reference_next_wakeup(const struct reference *reference);
bool reference_may_act(const struct caller *caller, const struct partition *partition);

/* Operations: the expected answer of the engine, and the new state. */
int reference_create(struct reference *reference, int64_t now_ns, int64_t wall_ns,
                     const struct caller *caller, uint32_t device, const struct request *request,
                     uint32_t uid, uint32_t gid, uint64_t hold, uint64_t *ret_id);
int reference_release(struct reference *reference, int64_t now_ns, const struct caller *caller,
                      uint64_t id);
void reference_close_hold(struct reference *reference, int64_t now_ns, uint64_t hold);
int reference_resize(struct reference *reference, int64_t now_ns, const struct caller *caller,
                     uint64_t id, uint64_t bytes);
int reference_set_end(struct reference *reference, int64_t now_ns, const struct caller *caller,
                      uint64_t id, int64_t end_ns);
int reference_set_ending(struct reference *reference, int64_t now_ns, const struct caller *caller,
                         uint64_t id, const struct ending_change *change);
void reference_note(struct reference *reference, int64_t now_ns, const struct partition *about,
                    uint32_t by_uid, const char *word, const char *details);
int reference_rename(struct reference *reference, int64_t now_ns, const struct caller *caller,
                     uint64_t id, const char *name, bool good_name);
int reference_hand_over(struct reference *reference, int64_t now_ns, const struct caller *caller,
                        uint64_t id, uint32_t uid, uint32_t gid, uint32_t mode);
/* `wanted` in ascending order; uids that are equal without their lowest bits are an account. */
int reference_share(struct reference *reference, int64_t now_ns, const struct caller *caller,
                    uint64_t id, const struct guests *wanted, uint32_t account_shift);
/* `text` is the stored value, `policy` the policy in effect afterwards. */
void reference_set(struct reference *reference, int64_t now_ns, const struct caller *caller,
                   size_t key, const char *text, const struct reference_policy *policy);
void reference_advance(struct reference *reference, int64_t now_ns);

#endif
