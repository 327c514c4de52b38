/* SPDX-License-Identifier: Apache-2.0 */
/* What waits, as the tree shows it: lines, sentences, and when pollers wake. */
#include "fixture.h"

#include "fs/tree/charge.h"
#include "fs/tree/waits.h"

static struct refusal why;

static uint64_t ask(uint32_t device, uint32_t uid, const char *line, const struct creation_terms *t)
{
    struct caller caller = {.uid = uid, .gid = uid, .admin = !uid};
    struct request request;
    uint64_t id = 0;
    ck_assert_int_eq(request_parse(line, strlen(line), &request, why.message, 256), 0);
    ck_assert_msg(!engine_enqueue(tree.engine, ENGINE_CALL(tree.now_ns, 7, &caller, &why),
                                  &(struct creation){&request, device, uid, uid, 0}, t, &id),
                  "%s", why.message);
    return id;
}

static const struct creation_terms queue = {
    .waits = true, .give_up_ns = ENGINE_FOREVER, .priority = PRIORITY_NORMAL};

/* Publish all events, as fs/fuse/submit.c does. */
static bool publish(void)
{
    struct engine_event *events = engine_take_events(tree.engine);
    for (const struct engine_event *e = events; e; e = e->next)
        waits_note(&tree, e);
    engine_events_free(events);
    if (!waits_is_news(&tree))
        return false;
    waits_show(&tree);
    return true;
}

static const char *show(const char *path)
{
    struct node node;
    ck_assert_msg(walk(path, &node), "%s", path);
    ck_assert_int_eq(tree_show(&tree, &node, 0), 0);
    return tree.shown->length > 0 ? tree.shown->data : "";
}

static bool watch(const char *path, uint64_t *ret_change)
{
    struct node node;
    ck_assert_msg(walk(path, &node), "%s", path);
    return tree_row(&tree, &node)->watch(&tree, &node, ret_change);
}

START_TEST(shown)
{
    uint64_t first = grant(0, 0, "0.75 60"), second = ask(0, 0, "0.5 600", &queue);
    char path[64], line[256];
    snprintf(path, sizeof(path), "gpu0/p%llu/state", (unsigned long long)second);
    ck_assert_str_eq(show(path), "pending\n");
    snprintf(path, sizeof(path), "gpu0/p%llu/remaining", (unsigned long long)second);
    ck_assert_str_eq(show(path), "600\n");
    snprintf(path, sizeof(path), "gpu0/p%llu/reason", (unsigned long long)second);
    snprintf(line, sizeof(line),
             "p%llu waits for 0.50 of gpu0: it starts at 00:19:20 at the latest, when p%llu of "
             "root ends.\n",
             (unsigned long long)second, (unsigned long long)first);
    ck_assert_str_eq(show(path), line);
    snprintf(line, sizeof(line),
             "p%llu root 0.5000 600 normal 1970-01-01T00:19:20+00:00 1970-01-01T00:19:20+00:00 "
             "gpu0\n",
             (unsigned long long)second);
    ck_assert_str_eq(show("queue"), line);
    ck_assert_str_eq(show("gpu0/queue"), line);
    ck_assert_str_eq(show("gpu1/queue"), "");
    ck_assert_str_eq(show("gpu0/memory_used"), "6442450944\n");
    /* The time of a partition that waits is not running. */
    tree.now_ns += 20 * NS_PER_SECOND;
    engine_advance(tree.engine, tree.now_ns);
    snprintf(path, sizeof(path), "gpu0/p%llu/remaining", (unsigned long long)second);
    ck_assert_str_eq(show(path), "600\n");
    publish();
}
END_TEST

START_TEST(refused_before_the_start)
{
    grant(0, 0, "1 60");
    uint64_t id = ask(0, 0, "0.5 600", &queue);
    static const char *const files[] = {"procs", "cgroups", "members"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct node node = {.dir = DIR_PARTITION, .object = id, .file = tree_node_hash(files[i])};
        struct write write = {
            .node = &node, .text = "0", .length = 1, .caller = {.uid = 0, .root = true}};
        ck_assert_int_eq(tree_row(&tree, &node)->store(&tree, &write), REFUSED_BUSY);
        ck_assert_ptr_nonnull(strstr(write.why.message, " has not started: it starts at "));
    }
    struct attributes a;
    struct node node = {.dir = DIR_PARTITION, .object = id};
    ck_assert_int_eq(tree_attributes(&tree, &node, 0, &a), 0);
    ck_assert_uint_eq(a.blocks, 0);
    tree.now_ns += 60 * NS_PER_SECOND;
    engine_advance(tree.engine, tree.now_ns);
    ck_assert_int_eq(waits_check(&tree, engine_find(tree.engine, id), &why), 0);
    ck_assert_int_eq(tree_attributes(&tree, &node, 0, &a), 0);
    ck_assert_uint_eq(a.blocks, 4 * GIB / 512);
    publish();
}
END_TEST

/* A queue has a bounded number of lines, in order of starts, on each device its own. */
START_TEST(lines)
{
    grant(0, 0, "1 60");
    grant(1, 0, "1 60");
    for (int i = 0; i < WAITS_LINES_MAX + 10; i++)
        ask(0, 0, "1 60", &queue);
    uint64_t other = ask(1, 0, "1 60", &queue);
    char line[32];
    size_t count = 0;
    for (const char *at = show("gpu0/queue"); *at; at += strcspn(at, "\n") + 1)
        count++;
    ck_assert_uint_eq(count, WAITS_LINES_MAX);
    snprintf(line, sizeof(line), "p%llu ", (unsigned long long)other);
    ck_assert(!strncmp(show("gpu1/queue"), line, strlen(line)));
    publish();
}
END_TEST

/* Pollers of a queue see one change for a pass, however many requests it moves, and none before
 * its end. */
START_TEST(wakes_once)
{
    uint64_t first = grant(0, 0, "1 600"), change, now, device;
    struct caller root = {.root = true};
    for (int i = 0; i < 50; i++)
        ask(0, 0, "1 60", &queue);
    ck_assert(publish() && watch("queue", &change));
    ck_assert_int_eq(engine_release(tree.engine, ENGINE_CALL(tree.now_ns, 7, &root, &why), first),
                     0);
    int news = 0;
    uint32_t moved = 0;
    for (int i = 0; i < 1000 && !engine_plan_is_finished(tree.engine); i++) {
        ck_assert(watch("queue", &now) && now == change);
        engine_advance_some(tree.engine, tree.now_ns, 5);
        if (engine_plan_is_finished(tree.engine))
            break;
        news += publish();
    }
    ck_assert_int_eq(news, 0);
    struct engine_event *events = engine_take_events(tree.engine);
    for (const struct engine_event *e = events; e; e = e->next)
        waits_note(&tree, e);
    engine_events_free(events);
    ck_assert(waits_is_news(&tree));
    ck_assert_uint_eq(waits_next_device(&tree, 0, &moved), 0);
    ck_assert_uint_ge(moved, 50);
    ck_assert_uint_eq(waits_next_device(&tree, 1, &moved), ENGINE_DEVICE_ANY);
    waits_show(&tree);
    ck_assert(watch("queue", &now) && now != change);
    ck_assert(watch("gpu0/queue", &device) && device == now);
    ck_assert(watch("gpu1/queue", &device) && device == 0);
}
END_TEST

/* Moves have no lines, and their numbers are not missed. */
START_TEST(silent_numbers)
{
    ck_assert_uint_eq(tree_line_silent("9 T forward device=gpu0 moved=17 by=root"), 17);
    ck_assert_uint_eq(tree_line_silent("9 T created p1 name=forward by=root"), 0);
    ck_assert_uint_eq(tree_line_silent("9"), 0);
}
END_TEST

int main(void)
{
    setenv("TZ", "UTC0", 1);
    return check_main("waits", setup, teardown, shown, refused_before_the_start, lines, wakes_once,
                      silent_numbers);
}
