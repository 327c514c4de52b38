/* SPDX-License-Identifier: Apache-2.0 */
/* The rights of owners and administrators, and the bounds that the policy sets. */
#include "fixture.h"

/* -- who may do what ---------------------------------------------------------- */

enum action { RELEASE, RESIZE, SET_END, RENAME, CHMOD, CHOWN, SHARE, ACTIONS };

static int act(enum action action, const struct caller *caller, uint64_t id)
{
    const struct partition *p = engine_find(engine, id);

    switch (action) {
    case RELEASE:
        return engine_release(engine, CALL(0, caller, &why), id);
    case RESIZE:
        return engine_resize(engine, CALL(0, caller, &why), id, 5);
    case SET_END:
        return engine_set_end(engine, CALL(0, caller, &why), id, 5);
    case RENAME:
        return engine_rename(engine, CALL(0, caller, &why), id, "new");
    case CHMOD:
        return engine_hand_over(engine, CALL(0, caller, &why), id, p->uid, 5, 0700);
    case SHARE:
        return engine_share(engine, CALL(0, caller, &why), id, &(struct guests){1, {1003}});
    default:
        return engine_hand_over(engine, CALL(0, caller, &why), id, 4242, p->gid, p->mode);
    }
}

START_TEST(permission_matrix)
{
    static const struct caller callers[] = {
        {.uid = 1000},                           /* alice */
        {.uid = 1001},                           /* bob */
        {.uid = 1001, .by_mode = true},          /* bob, of alice's group */
        {.uid = 0, .admin = true, .root = true}, /* root */
        {.uid = 500, .admin = true},             /* an administrator */
        {.uid = 0, .ns = 7},                     /* root of a container */
        {.uid = 0, .ns = 8},                     /* root of another */
        {.uid = 0, .ns = 7, .by_mode = true},    /* let past by the kernel */
    };
    enum { OWNERS = 3 }; /* alice, root, root of the container */
    static const size_t owners[OWNERS] = {0, 3, 5};
    /* allowed actions for each owner and caller, one letter per action */
    static const char *const allowed[OWNERS][8] = {
        {"rseno-m", "-------", "-sen---", "rsenocm", "r------", "-------", "-------", "-sen---"},
        {"-------", "-------", "-sen---", "rsenocm", "r------", "-------", "-------", "-sen---"},
        {"-------", "-------", "-sen---", "rsenocm", "r------", "rseno-m", "-------", "rseno-m"},
    };

    for (size_t o = 0; o < OWNERS; o++) {
        for (size_t c = 0; c < 8; c++) {
            for (int action = 0; action < ACTIONS; action++) {
                bool may = allowed[o][c][action] != '-';
                int r;

                start(100);
                uint64_t id = grant(engine, 0, &callers[owners[o]], 0, "0.5 60");
                engine_events_free(engine_take_events(engine));
                ck_assert(engine_may_act(&callers[c], engine_find(engine, id)) ==
                          (allowed[o][c][4] == 'o'));
                r = act((enum action)action, &callers[c], id);
                /* Owners may do all but give it away. */
                int refusal = allowed[o][c][4] == 'o' ? REFUSED_PERMISSION : REFUSED_OWNER;
                ck_assert_msg(r == (may ? 0 : refusal), "owner %zu, caller %zu, action %d: %d", o,
                              c, action, r);
                if (!may)
                    refused(r, refusal, "Permission denied: ");
                engine_free(engine);
            }
        }
    }
}
END_TEST

static uint32_t account_of(void *context, uint32_t uid)
{
    (void)context;
    return uid / 1000;
}

/* Another owner has other friends; another group has not. */
START_TEST(guests_go_with_their_host)
{
    const struct guests two = {2, {1003, 1004}}, one = {1, {1004}};

    start(100);
    uint64_t id = grant(engine, 0, &alice, 0, "0.5 60");
    engine_events_free(engine_take_events(engine));
    ck_assert_ptr_null(engine_guests(engine, id));
    ck_assert_int_eq(engine_share(engine, CALL(0, &alice, &why), id, &two), 0);
    ck_assert_int_eq(engine_share(engine, CALL(0, &alice, &why), id, &two), 0);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_share(engine, CALL(0, &alice, &why), id, &one), 0);
    ck_assert_uint_eq(one_event(EVENT_UNSHARED)->guest, 1003);
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &alice, &why), id, 1000, 5, 0700), 0);
    one_event(EVENT_HANDED);
    ck_assert(guests_has(engine_guests(engine, id), 1004));
    ck_assert_int_eq(engine_hand_over(engine, CALL(0, &admin, &why), id, 1004, 5, 0700), 0);
    struct engine_event *events = engine_take_events(engine);
    ck_assert_int_eq(events->kind, EVENT_UNSHARED);
    ck_assert_uint_eq(events->after.uid, 1000);
    ck_assert_int_eq(events->next->kind, EVENT_HANDED);
    ck_assert_ptr_null(engine_guests(engine, id));
    ck_assert_int_eq(engine_revert(engine, events), 0);
    ck_assert(guests_has(engine_guests(engine, id), 1004));
    engine_events_free(events);
    refused(engine_share(engine, CALL(ENGINE_FOREVER - 1, &alice, &why), id, &two), REFUSED_GONE,
            "There is no partition");
    engine_free(engine);
}
END_TEST

/* A person's uids share one bound, whatever came back from a revert or the state. */
START_TEST(guests_of_an_account_are_bounded)
{
    enum { FULL = GUESTS_ACCOUNT_MAX / GUESTS_MAX };
    struct guests all = {.count = GUESTS_MAX}, one = {1, {7}}, none = {0};
    uint64_t id[FULL + 1];

    for (uint32_t i = 0; i < GUESTS_MAX; i++)
        all.uid[i] = 2000 + i;
    start(100);
    engine_set_accounts(engine, account_of, NULL);
    for (size_t i = 0; i <= FULL; i++)
        id[i] = grant(engine, 0, i % 2 ? &alice : &bob, 0, "1B 60");
    engine_events_free(engine_take_events(engine));
    for (size_t i = 1; i < FULL; i++)
        ck_assert_int_eq(engine_share(engine, CALL(0, &admin, &why), id[i], &all), 0);
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_share(engine, CALL(0, &bob, &why), id[0], &all), 0);
    struct engine_event *events = engine_take_events(engine);
    refused(engine_share(engine, CALL(0, &bob, &why), id[FULL], &one), REFUSED_QUOTA,
            "can be shared with 256 users");
    ck_assert_int_eq(engine_revert(engine, events), 0);
    engine_events_free(events);
    ck_assert_int_eq(engine_share(engine, CALL(0, &bob, &why), id[FULL], &all), 0);
    engine_events_free(engine_take_events(engine));
    refused(engine_share(engine, CALL(0, &bob, &why), id[0], &one), REFUSED_QUOTA, "256 users");
    ck_assert_int_eq(engine_share(engine, CALL(0, &alice, &why), id[1], &none), 0);
    ck_assert_int_eq(engine_share(engine, CALL(0, &bob, &why), id[0], &one), 0);
    engine_events_free(engine_take_events(engine));
    for (uint32_t uid = 1; uid < GUESTS_MAX; uid++)
        ck_assert_int_eq(engine_restore_guest(engine, id[1], uid), 0);
    refused(engine_share(engine, CALL(0, &alice, &why), id[1], &all), REFUSED_QUOTA, "256 users");
    ck_assert_int_eq(engine_release(engine, CALL(0, &bob, &why), id[0]), 0);
    ck_assert_int_eq(engine_share(engine, CALL(0, &alice, &why), id[1], &all), 0);
    engine_free(engine);
}
END_TEST

START_TEST(released_or_revoked)
{
    start(100);
    uint64_t id = grant(engine, 0, &alice, 0, "0.1 60");
    one_event(EVENT_CREATED);
    ck_assert_int_eq(engine_release(engine, CALL(7, &alice, &why), id), 0);
    ck_assert_int_eq(one_event(EVENT_RELEASED)->after.end_ns, 7);
    id = grant(engine, 0, &alice, 0, "0.1 60");
    one_event(EVENT_CREATED);
    ck_assert_int_eq(engine_release(engine, CALL(7, &admin, &why), id), 0);
    ck_assert_uint_eq(one_event(EVENT_REVOKED)->by_uid, 0);
    id = grant(engine, 0, &admin, 0, "0.1 60");
    one_event(EVENT_CREATED);
    ck_assert_int_eq(engine_release(engine, CALL(7, &admin, &why), id), 0);
    one_event(EVENT_RELEASED);
    id = grant(engine, 0, &foreign_root, 0, "0.1 60");
    ck_assert_uint_eq(one_event(EVENT_CREATED)->after.creator_ns, 4026532000);
    ck_assert_int_eq(engine_release(engine, CALL(7, &admin, &why), id), 0);
    one_event(EVENT_REVOKED);
    engine_free(engine);
}
END_TEST

START_TEST(a_closed_file_ends_what_it_holds)
{
    struct request request = parsed("10B 60 hold");
    uint64_t id;

    start(100);
    for (uint64_t hold = 1; hold <= 6; hold++)
        ck_assert_int_eq(engine_create(engine, CALL(0, &alice, &why),
                                       &(struct creation){&request, 0, 1000, 1000, hold % 2 + 1},
                                       &id),
                         0);
    grant(engine, 0, &alice, 0, "10B 60");
    engine_events_free(engine_take_events(engine));
    ck_assert_int_eq(engine_close_hold(engine, 3, 0), 0);
    ck_assert_int_eq(engine_close_hold(engine, 3, 77), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_int_eq(engine_close_hold(engine, 3, 1), 0);
    struct engine_event *events = engine_take_events(engine);
    for (const struct engine_event *event = events; event; event = event->next) {
        ck_assert_int_eq(event->kind, EVENT_CLOSED);
        ck_assert_uint_eq(event->before.hold, 1);
        ck_assert_int_eq(event->after.end_ns, 3);
        ck_assert_uint_eq(event->by_uid, 1000);
    }
    engine_events_free(events);
    ck_assert_uint_eq(engine_count(engine), 4);
    engine_free(engine);
}
END_TEST

/* -- policy --------------------------------------------------------------------- */

static void setting(const char *key, const char *value)
{
    ck_assert_msg(engine_set(engine, CALL(0, &admin, &why), key, value) == 0, "%s", why.message);
    engine_events_free(engine_take_events(engine));
}

START_TEST(policy_bounds_users)
{
    uint64_t id, none;

    start(100);
    setting("config/min_duration", "10");
    setting("config/max_duration", "1m");
    setting("config/max_fraction", "0.5");
    refused(ask(engine, 0, &alice, 0, "0.1 9", &why, &none), REFUSED_INVALID,
            "9s is too short; a partition must last at least 10s");
    refused(ask(engine, 0, &alice, 0, "0.1 61", &why, &none), REFUSED_INVALID,
            "1m1s is too long; a partition can have at most 1m left");
    refused(ask(engine, 0, &alice, 0, "51B 60", &why, &none), REFUSED_INVALID,
            "at most 0.5 (50 B) is allowed");
    refused(ask(engine, 0, &alice, ENGINE_DEVICE_ANY, "51B 60", &why, &none), REFUSED_INVALID,
            "at most 0.5 (50 B) is allowed");
    id = grant(engine, 0, &alice, 0, "0.5 1m");
    engine_events_free(engine_take_events(engine));
    refused(engine_resize(engine, CALL(0, &alice, &why), id, 51), REFUSED_INVALID, "at most 0.5");
    refused(engine_set_end(engine, CALL(1, &alice, &why), id, SECONDS(60) + 2), REFUSED_INVALID,
            "at most 1m left");
    ck_assert_int_eq(engine_set_end(engine, CALL(1, &alice, &why), id, SECONDS(60) + 1), 0);
    /* shortening always works, even below min_duration */
    ck_assert_int_eq(engine_set_end(engine, CALL(1, &alice, &why), id, SECONDS(2)), 0);
    /* administrators are not bound by it */
    grant(engine, SECONDS(3), &admin, 0, "1 1");
    setting("config/max_duration", "default");
    ck_assert_int_eq(engine_policy(engine)->max_duration_ns, INT64_MAX);
    engine_free(engine);
}
END_TEST

START_TEST(settings)
{
    char longest[ENGINE_KEY_MAX + 1];

    start(100);
    ck_assert_ptr_null(engine_setting(engine, "config/max_duration"));
    ck_assert_int_eq(engine_set(engine, CALL(5, &admin, &why), "config/max_duration", "1h"), 0);
    const struct engine_event *event = one_event(EVENT_SETTING);
    ck_assert_str_eq(event->key, "config/max_duration");
    ck_assert_str_eq(event->value, "3600");
    ck_assert_str_eq(event->old_value, "");
    ck_assert_int_eq(event->at_ns, 5);
    ck_assert_int_eq(engine_set(engine, CALL(5, &admin, &why), "config/max_duration", "60m"), 0);
    ck_assert_ptr_null(engine_take_events(engine));
    ck_assert_int_eq(engine_set(engine, CALL(5, &admin, &why), "config/max_duration", "max"), 0);
    ck_assert_str_eq(one_event(EVENT_SETTING)->old_value, "3600");
    ck_assert_str_eq(engine_setting(engine, "config/max_duration"), "max");
    ck_assert_int_eq(engine_set(engine, CALL(5, &admin, &why), "config/max_duration", "default"),
                     0);
    ck_assert_str_eq(one_event(EVENT_SETTING)->value, "");
    ck_assert_ptr_null(engine_setting(engine, "config/max_duration"));
    ck_assert_int_eq(engine_set(engine, CALL(5, &admin, &why), "config/admin_group", "lab"), 0);
    ck_assert_str_eq(one_event(EVENT_SETTING)->value, "lab");
    ck_assert_str_eq(engine_policy(engine)->admin_group, "lab");
    ck_assert_int_eq(engine_set(engine, CALL(5, &admin, &why), "config/admin_group", "none"), 0);
    ck_assert_str_eq(one_event(EVENT_SETTING)->value, "none");
    ck_assert_str_eq(engine_policy(engine)->admin_group, "");
    ck_assert_int_eq(engine_set(engine, CALL(5, &admin, &why), "gpu0/new", "660 0 5"), 0);
    ck_assert_str_eq(one_event(EVENT_SETTING)->value, "660 0 5");
    ck_assert_str_eq(engine_setting(engine, "gpu0/new"), "660 0 5");
    ck_assert_ptr_null(engine_setting(engine, "gpu0/ne"));
    refused(engine_set(engine, CALL(5, &admin, &why), "config/max_duration", "x"), REFUSED_INVALID,
            "x");
    refused(engine_set(engine, CALL(5, &admin, &why), "config/bogus", "x"), REFUSED_INVALID,
            "bogus");
    refused(engine_set(engine, CALL(5, &admin, &why), "config/max_duration", ""), REFUSED_INVALID,
            "Write default to restore max_duration");
    refused(engine_set(engine, CALL(5, &admin, &why), "config/bogus", ""), REFUSED_INVALID,
            "bogus");
    memset(longest, 'k', sizeof(longest));
    longest[ENGINE_KEY_MAX] = 0;
    refused(engine_set(engine, CALL(5, &admin, &why), longest, "x"), REFUSED_INVALID, "too long");
    ck_assert_ptr_null(engine_setting(engine, longest));
    refused(engine_set(engine, CALL(5, &admin, &why), "k", longest), REFUSED_INVALID, "too long");
    engine_free(engine);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {permission_matrix,
                                  guests_go_with_their_host,
                                  guests_of_an_account_are_bounded,
                                  released_or_revoked,
                                  a_closed_file_ends_what_it_holds,
                                  policy_bounds_users,
                                  settings};

    return check_run_tests("rights", NULL, NULL, tests, ARRAY_COUNT(tests));
}
