/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is ever half done: when memory is short, and when a change is reverted because it could
 * not be made durable.
 */
#include "common.h"

/* The linker redirects the engine's calls here (--wrap). */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
static int fail_at; /* which allocation from now fails, counting from 1; 0 none */

void *__wrap_calloc(size_t count, size_t size)
{
    return fail_at > 0 && --fail_at == 0 ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fail_at > 0 && --fail_at == 0 ? NULL : __real_realloc(old, size);
}

static const struct caller alice = {.uid = 1000, .gid = 1000};
static const struct caller admin = {.uid = 0, .admin = true, .root = true};
static struct engine *engine;
static struct refusal why;

/* The answer of an engine to every query, as text. */
static char *snapshot(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const struct partition *p = NULL;
    int64_t at_ns = -1000;
    uint64_t bytes;

    while ((p = engine_next(engine, p ? p->id : 0)))
        fprintf(out, "p%llu %u %u %u %o %llu %lld %lld %llu %llu %s %u %lld %lld %u %u\n",
                (unsigned long long)p->id, p->shares[0].device, p->uid, p->gid, p->mode,
                (unsigned long long)p->shares[0].memory_bytes, (long long)p->start_ns,
                (long long)p->end_ns, (unsigned long long)p->hold,
                (unsigned long long)p->change_seq, p->name, p->on_expiry, (long long)p->grace_ns,
                (long long)p->warn.ns, p->warn.signal, p->state);
    while (engine_next_step(engine, 0, at_ns, &at_ns, &bytes))
        fprintf(out, "%lld %llu\n", (long long)at_ns, (unsigned long long)bytes);
    for (uint32_t uid = 1000; uid < 1003; uid++) {
        while ((p = engine_next_of_user(engine, uid, p ? p->id : 0)))
            fprintf(out, "%u p%llu\n", uid, (unsigned long long)p->id);
    }
    while ((p = engine_next_on_device(engine, 0, p ? p->id : 0)))
        fprintf(out, "p%llu\n", (unsigned long long)p->id);
    for (const struct policy_row *row = policy_rows; row->name; row++) {
        char key[ENGINE_KEY_MAX];

        snprintf(key, sizeof(key), "config/%s", row->name);
        const char *value = engine_setting(engine, key);
        fprintf(out, "%s %s\n", key, value ? value : "(unset)");
    }
    fprintf(out, "max %lld min %lld next %lld count %llu\n",
            (long long)engine_policy(engine)->max_duration_ns,
            (long long)engine_policy(engine)->min_duration_ns,
            (long long)engine_next_wakeup(engine), (unsigned long long)engine_count(engine));
    fclose(out);
    return text;
}

static int create(void)
{
    struct request request = parsed("10B 50 hold name=new");
    uint64_t id;

    return engine_create(engine, CALL(5, &alice, &why),
                         &(struct creation){&request, 0, 1000, 1000, 4}, &id);
}

static int release(void)
{
    return engine_release(engine, CALL(5, &alice, &why), 1);
}

static int resize(void)
{
    return engine_resize(engine, CALL(5, &alice, &why), 1, 11);
}

static int extend(void)
{
    return engine_set_end(engine, CALL(5, &alice, &why), 1, SECONDS(500));
}

static int set_ending(void)
{
    struct ending_change change = {true, true, true, 2, SECONDS(1), {SECONDS(60), 0}};

    return engine_set_ending(engine, CALL(5, &alice, &why), 1, &change);
}

/* Makes an event and the warning that it causes. */
static int warn_at_once(void)
{
    struct ending_change change = {.set_warn = true, .warn.ns = SECONDS(1000)};

    return engine_set_ending(engine, CALL(5, &alice, &why), 1, &change);
}

static int create_warned(void)
{
    struct request request = parsed("10B 50 warn=50");
    uint64_t id;

    return engine_create(engine, CALL(5, &alice, &why),
                         &(struct creation){&request, 0, 1000, 1000, 4}, &id);
}

static int note(void)
{
    struct partition about = {.id = 1, .uid = 1000};

    return engine_note(engine, 5, &about, 0, "killed", "pid=1");
}

static int rename_it(void)
{
    return engine_rename(engine, CALL(5, &alice, &why), 1, "other");
}

static int hand_over(void)
{
    return engine_hand_over(engine, CALL(5, &admin, &why), 1, 1002, 7, 0700);
}

static int advance(void)
{
    return engine_advance(engine, SECONDS(20));
}

static int close_hold(void)
{
    return engine_close_hold(engine, 5, 3);
}

static int set_new(void)
{
    return engine_set(engine, CALL(5, &admin, &why), "config/min_duration", "5");
}

static int set_again(void)
{
    return engine_set(engine, CALL(5, &admin, &why), "config/max_duration", "2h");
}

static int set_none(void)
{
    return engine_set(engine, CALL(5, &admin, &why), "config/max_duration", "default");
}

static int add_one(void)
{
    struct engine_device device = {50, true};
    uint32_t index;

    return engine_add_device(engine, &device, &index);
}

static int restore(void)
{
    struct partition p = {.id = 40,
                          .uid = 1001,
                          .state = PARTITION_ACTIVE,
                          .share_count = 1,
                          .shares[0].memory_bytes = 1,
                          .end_ns = 50};

    return engine_restore(engine, &p);
}

static int restore_setting(void)
{
    return engine_restore_setting(engine, "config/retention", "77");
}

/* All operations except those that make no events. */
static int (*const actions[])(void) = {
    create,  create_warned, set_ending, warn_at_once, note,    release,
    resize,  extend,        rename_it,  hand_over,    advance, close_hold,
    set_new, set_again,     set_none,   add_one,      restore, restore_setting,
};
enum { CREATING = 2, ACTIONS = sizeof(actions) / sizeof(actions[0]), WITH_EVENTS = ACTIONS - 3 };

static void setup(void)
{
    engine = new_engine();
    for (int i = 0; i < 8; i++) /* the array is full: one more needs memory */
        add_device(engine, 100, true);
    grant(engine, 0, &alice, 0, "10B 100 name=first warn=90:USR1");
    for (int i = 0; i < 3; i++)
        grant(engine, 0, &alice, 0, "10B 10 hold");
    ck_assert_int_eq(engine_close_hold(engine, 0, 9), 0);
    for (int i = 0; i < 3; i++) {
        struct request request = parsed("10B 20 hold");
        uint64_t id;

        ck_assert_int_eq(engine_create(engine, CALL(0, &alice, &why),
                                       &(struct creation){&request, 0, 1000, 1000, 3}, &id),
                         0);
    }
    ck_assert_int_eq(engine_set(engine, CALL(0, &admin, &why), "config/max_duration", "1h"), 0);
    engine_events_free(engine_take_events(engine));
}

START_TEST(failed_allocations_change_nothing)
{
    for (size_t i = 0; i < ACTIONS; i++) {
        char *before, *after;
        int k = 1, r;

        setup();
        before = snapshot();
        for (;; k++) {
            fail_at = k;
            r = actions[i]();
            if (fail_at > 0)
                break;
            ck_assert_msg(r == -ENOMEM, "action %zu, allocation %d: %d", i, k, r);
            after = snapshot();
            ck_assert_str_eq(before, after);
            free(after);
            ck_assert_ptr_null(engine_take_events(engine));
        }
        fail_at = 0;
        ck_assert_int_eq(r, 0);
        ck_assert_int_ge(k, 2);
        free(before);
        engine_free(engine);
    }
}
END_TEST

START_TEST(engine_new_can_run_out_of_memory)
{
    struct engine *none = (struct engine *)&why;

    fail_at = 1;
    ck_assert_int_eq(engine_new(time_words, NULL, &none), -ENOMEM);
    ck_assert_ptr_eq(none, &why);
}
END_TEST

/* Revert every action, and every two in a row, at once. */
START_TEST(revert_is_exact)
{
    for (size_t i = 0; i < WITH_EVENTS; i++) {
        for (size_t j = 0; j < WITH_EVENTS; j++) {
            char *before, *after;
            bool same;
            int k = 1;

            setup();
            before = snapshot();
            ck_assert_int_eq(actions[i](), 0);
            (void)actions[j]();
            struct engine_event *events = engine_take_events(engine);
            ck_assert_ptr_nonnull(events);
            after = snapshot();
            ck_assert_str_ne(before, after);
            free(after);
            for (;; k++) {
                char *middle = snapshot();

                fail_at = k;
                int r = engine_revert(engine, events);
                after = snapshot();
                same = strcmp(middle, after) == 0;
                free(middle);
                if (fail_at > 0)
                    break;
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert(same);
                free(after);
            }
            fail_at = 0;
            ck_assert_str_eq(before, after);
            ck_assert_ptr_null(engine_take_events(engine));
            engine_events_free(events);
            /* ids and event numbers are not reused */
            uint64_t id = grant(engine, 5, &alice, 0, "1B 1");
            ck_assert_uint_eq(id, 8U + (i < CREATING) + (j < CREATING));
            free(before);
            free(after);
            engine_free(engine);
        }
    }
}
END_TEST

START_TEST(a_reverted_expiry_comes_again)
{
    struct engine_event *events, *again;

    setup();
    ck_assert_int_eq(engine_advance(engine, SECONDS(20)), 0);
    events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    ck_assert_uint_eq(engine_count(engine), 4);
    ck_assert_int_eq(engine_next_wakeup(engine), SECONDS(10)); /* the warning */
    ck_assert_int_eq(engine_advance(engine, SECONDS(21)), 0);
    again = engine_take_events(engine);
    for (const struct engine_event *a = events, *b = again; a || b; a = a->next, b = b->next) {
        ck_assert(a && b);
        ck_assert_uint_eq(a->before.id, b->before.id);
        ck_assert_int_eq(a->kind, b->kind);
        ck_assert_int_eq(b->at_ns, SECONDS(b->kind == EVENT_WARNED ? 10 : 20));
        ck_assert_uint_gt(b->seq, a->seq);
    }
    engine_events_free(events);
    engine_events_free(again);
    engine_free(engine);
}
END_TEST

START_TEST(events_of_another_engine_are_refused)
{
    setup();
    ck_assert_int_eq(create(), 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(engine_revert(engine, events), 0);
    ck_assert_int_eq(engine_revert(engine, events), -EINVAL);
    engine_events_free(events);
    engine_free(engine);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        failed_allocations_change_nothing, engine_new_can_run_out_of_memory,     revert_is_exact,
        a_reverted_expiry_comes_again,     events_of_another_engine_are_refused,
    };

    return check_run_tests("revert", NULL, NULL, tests, ARRAY_COUNT(tests));
}
