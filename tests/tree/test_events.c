/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of the tree: what they say, about whom, and how much each user can fill. */
#include "fixture.h"

/* Return the line of the only event, from its third word on. */
static const char *line_of_event(void)
{
    static char line[512];
    struct engine_event *event = engine_take_events(tree.engine);
    ck_assert(event && !event->next);
    tree_event_line(&tree, event, line, sizeof(line));
    engine_events_free(event);
    return strchr(strchr(line, ' ') + 1, ' ') + 1;
}

START_TEST(test_event_lines)
{
    const struct caller admin = {.uid = 4000000002u, .admin = true, .root = true};
    struct partition about = {.uid = 4000000001u};
    struct ending_change change = {.set_warn = true, .warn.ns = 9 * NS_PER_SECOND};
    struct refusal why;
    uint64_t id = grant(1, 4000000000u, "1M 60 grace=0 on_expiry=kill");
    engine_events_free(engine_take_events(tree.engine));
    engine_set_ending(tree.engine, ENGINE_CALL(tree.now_ns, 7, &admin, &why), id, &change);
    ck_assert_str_eq(
        line_of_event(),
        "ending p1 device=gpu1 user=4000000000 on_expiry=kill grace=0 warn=9 by=4000000002");
    engine_advance(tree.engine, tree.now_ns + 51 * NS_PER_SECOND);
    ck_assert_str_eq(line_of_event(), "warned p1 device=gpu1 user=4000000000 by=4000000000");
    engine_note(tree.engine, tree.now_ns, engine_find(tree.engine, id), admin.uid, "signalled",
                "signal=USR1 count=3");
    ck_assert_str_eq(line_of_event(), "signalled p1 device=gpu1 user=4000000000 signal=USR1 count=3"
                                      " by=4000000002");
    engine_note(tree.engine, tree.now_ns, engine_find(tree.engine, id), admin.uid, "emptied", "");
    ck_assert_str_eq(line_of_event(), "emptied p1 device=gpu1 user=4000000000 by=4000000002");
    engine_note(tree.engine, tree.now_ns, &about, admin.uid, "access-changed", "node=/dev/x");
    ck_assert_str_eq(line_of_event(), "access-changed user=4000000001 node=/dev/x by=4000000002");
    about.share_count = 1;
    engine_note(tree.engine, tree.now_ns, &about, admin.uid, "unmanaged", "pid=5");
    ck_assert_str_eq(line_of_event(), "unmanaged device=gpu0 user=4000000001 pid=5 by=4000000002");
}
END_TEST

/* Each word of a line once, and those that say whom it is about. */
static void expect_words(const struct engine_event *event, const char *user, bool device)
{
    char line[512], seen[16][24];
    size_t count = 0;
    bool has_user = false, has_device = false;
    tree_event_line(&tree, event, line, sizeof(line));
    for (char *rest = NULL, *word = strtok_r(line, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        if (!value)
            continue;
        *value++ = '\0';
        for (size_t i = 0; i < count; i++)
            ck_assert_msg(strcmp(seen[i], word) != 0, "kind %d has %s twice", event->kind, word);
        ck_assert_uint_lt(count, 16);
        snprintf(seen[count++], sizeof(seen[0]), "%s", word);
        if (!strcmp(word, "user")) {
            has_user = true;
            ck_assert_msg(user && !strcmp(value, user), "kind %d: user=%s", event->kind, value);
        }
        has_device |= !strcmp(word, "device");
    }
    ck_assert_msg(has_user == !!user, "kind %d: user", event->kind);
    ck_assert_msg(has_device == device, "kind %d: device", event->kind);
}

/* All kinds of events, and the notes of the host thread. */
START_TEST(test_event_subjects)
{
    static const char *const details[] = {
        "",
        "processes=3",
        "signal=USR1 processes=3",
        "after_ms=5",
        "pid=5 uid=4000000003 bytes=7 limit_bytes=6 signal=TERM",
    };
    struct engine_event event = {.kind = EVENT_CREATED, .by_uid = 4000000002u};
    struct partition *p = &event.after;
    *p = (struct partition){.id = 1, .uid = 4000000001u, .name = "job", .share_count = 1};
    event.before = *p;
    for (; event.kind < EVENT_NOTE; event.kind++)
        if (event.kind != EVENT_SETTING)
            expect_words(&event, "4000000001", true);
    event.kind = EVENT_HANDED; /* found by its former owner, too */
    event.before.uid = 4000000005u;
    expect_words(&event, "4000000001", true);
    char line[512];
    tree_event_line(&tree, &event, line, sizeof(line));
    ck_assert_ptr_nonnull(strstr(line, " from=4000000005 "));
    event.kind = EVENT_SETTING;
    strcpy(event.key, "config/watchdog");
    strcpy(event.value, "warn");
    expect_words(&event, NULL, false);
    event.kind = EVENT_NOTE;
    strcpy(event.key, "noted");
    for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
        strcpy(event.value, details[i]);
        p->id = i % 2;
        expect_words(&event, "4000000001", true);
    }
    *p = (struct partition){.uid = ENGINE_UID_NONE};
    strcpy(event.value, "node=/dev/nvidia0");
    expect_words(&event, NULL, false);
}
END_TEST

/* `state` wakes a reader that read before the warning, and again after an extension. */
START_TEST(test_state_tells)
{
    const struct caller owner = {.uid = 1000};
    struct refusal why;
    struct node node;
    uint64_t seen = 9, now = 9;
    uint64_t id = grant(0, 1000, "1M 60 warn=30");
    ck_assert(walk("gpu0/p1/state", &node));
    const struct file_row *row = tree_row(&tree, &node);
    ck_assert(row->watch(&tree, &node, &seen));
    engine_advance(tree.engine, tree.now_ns + 30 * NS_PER_SECOND);
    ck_assert(row->watch(&tree, &node, &now) && now != seen);
    ck_assert(!tree_show(&tree, &node, 1000));
    ck_assert_str_eq(tree.shown->data, "expiring\n");
    ck_assert_int_eq(engine_set_end(tree.engine,
                                    ENGINE_CALL(tree.now_ns + 30 * NS_PER_SECOND, 7, &owner, &why),
                                    id, tree.now_ns + 99 * NS_PER_SECOND),
                     0);
    ck_assert(row->watch(&tree, &node, &now) && now == seen);
    ck_assert(!tree_show(&tree, &node, 1000));
    ck_assert_str_eq(tree.shown->data, "active\n");
    /* Its content changes by itself: its size must not be cached. */
    struct attributes a;
    ck_assert(!tree_attributes(&tree, &node, 0, &a));
    ck_assert(a.attr_timeout_s == 0);
}
END_TEST

START_TEST(test_event_log)
{
    struct event_log log = {0}, out = {0};
    char line[32];
    for (uint64_t seq = 1; seq <= EVENT_LOG_LINES_MAX + 10; seq++) {
        snprintf(line, sizeof(line), "line %llu", (unsigned long long)seq);
        ck_assert_int_eq(event_log_append(&log, seq, seq > 2 ? seq - 2 : 0, 7, line), 0);
    }
    ck_assert(log.count <= EVENT_LOG_LINES_MAX && event_log_first(&log) > 1);
    event_log_chain(&log, EVENT_LOG_LINES_MAX + 10, &out);
    snprintf(line, sizeof(line), "line %d\n", EVENT_LOG_LINES_MAX + 10);
    ck_assert_str_eq(out.text.data + out.text.length - strlen(line), line);
    ck_assert_uint_eq(out.count, EVENT_LOG_CHAIN_MAX);
    event_log_truncate(&log, EVENT_LOG_LINES_MAX);
    snprintf(line, sizeof(line), "line %d\n", EVENT_LOG_LINES_MAX - 1);
    ck_assert_str_eq(log.text.data + log.text.length - strlen(line), line);
    event_log_truncate(&log, 0);
    ck_assert_uint_eq(log.count + log.text.length, 0);
    event_log_free(&out);
    event_log_free(&log);
}
END_TEST

/* An account keeps its latest texts and pushes out only its own. */
START_TEST(test_texts)
{
    static struct texts texts;
    struct strbuf text = {0};
    strbuf_add(&text, "bob's", 5);
    texts_put(&texts, 1, 100, 11, &text);
    for (uint64_t fh = 1; fh <= 3 * TEXTS_WAYS; fh++) {
        strbuf_clear(&text);
        strbuf_print(&text, "%llu", (unsigned long long)fh);
        texts_put(&texts, 2, fh, 12, &text);
    }
    for (uint64_t fh = 1; fh <= 3 * TEXTS_WAYS; fh++) {
        const struct strbuf *found = texts_find(&texts, 2, fh, 12);
        ck_assert_int_eq(found && strtoull(found->data, NULL, 10) == fh, fh > 2 * TEXTS_WAYS);
    }
    ck_assert_str_eq(texts_find(&texts, 1, 100, 11)->data, "bob's");
    ck_assert_ptr_null(texts_find(&texts, 1, 100, 12)); /* another reader */
    texts_put(&texts, 1, 100, 11, &text);
    ck_assert_str_eq(texts_find(&texts, 1, 100, 11)->data, text.data);
    texts_drop(&texts, 1, 100);
    ck_assert_ptr_null(texts_find(&texts, 1, 100, 11));
    while (text.length <= TEXTS_LENGTH_MAX)
        strbuf_add(&text, "long", 4);
    texts_put(&texts, 1, 100, 11, &text);
    ck_assert_ptr_null(texts_find(&texts, 1, 100, 11));
    texts_free(&texts);
    strbuf_free(&text);
}
END_TEST

/* Return the number of lines that an account has. */
static size_t lines_of(const struct event_log *log, uint32_t account)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++)
        count += log->lines[i].account == account;
    return count;
}

/* A user with many lines pushes out only their own: others keep theirs, up to a fair share. */
START_TEST(test_event_log_is_fair)
{
    struct event_log log = {0};
    uint64_t seq = 0;
    char line[32];
    for (uint32_t account = 1; account <= 3; account++)
        for (size_t i = 0; i < (account == 3 ? 4000 : 10); i++) {
            snprintf(line, sizeof(line), "of %u", account);
            ck_assert_int_eq(event_log_append(&log, ++seq, 0, account, line), 0);
        }
    for (size_t i = 0; i < 20 * EVENT_LOG_LINES_MAX; i++)
        ck_assert_int_eq(event_log_append(&log, ++seq, 0, 4, "of 4"), 0);
    ck_assert_uint_eq(lines_of(&log, 1), 10);
    ck_assert_uint_eq(lines_of(&log, 2), 10);
    ck_assert_uint_ge(lines_of(&log, 3), EVENT_LOG_LINES_MAX / 4 - 20);
    ck_assert_uint_ge(lines_of(&log, 4), EVENT_LOG_LINES_MAX / 4 - 20);
    ck_assert_uint_le(log.count, EVENT_LOG_LINES_MAX);
    for (size_t i = 0; i < log.count; i++) {
        ck_assert(!i || log.lines[i].seq > log.lines[i - 1].seq);
        snprintf(line, sizeof(line), "of %u\n", log.lines[i].account);
        ck_assert(!strncmp(log.text.data + log.lines[i].offset, line, strlen(line)));
    }
    ck_assert_uint_eq(log.text.length, 5 * log.count);
    /* The state need not keep everything since the oldest line. */
    ck_assert_uint_eq(event_log_first(&log), seq - EVENT_LOG_SPAN);
    event_log_free(&log);
}
END_TEST

/* A line of the state counts for the same account as the event did. */
START_TEST(test_line_accounts)
{
    struct engine_event event = {.seq = 1, .kind = EVENT_RELEASED, .by_uid = 4242};
    char line[512];
    event.before.uid = event.after.uid = 4243;
    for (int root = 0; root < 2; root++) {
        event.by_uid = root ? 0 : 4242;
        tree_event_line(&tree, &event, line, sizeof(line));
        ck_assert_uint_eq(tree_event_account(&tree, &event), root ? 4243 : 4242);
        ck_assert_uint_eq(tree_line_account(&tree, line), root ? 4243 : 4242);
    }
}
END_TEST

int main(void)
{
    return check_main("events", setup, teardown, test_event_lines, test_event_subjects,
                      test_state_tells, test_event_log, test_texts, test_event_log_is_fair,
                      test_line_accounts);
}
