/* SPDX-License-Identifier: Apache-2.0 */
/* Suggestions: each line, written in the same instant, is accepted. */
#include "fixture.h"

#include "fs/tree/files_new.h"
#include "fs/tree/suggestions.h"

static uint32_t chance = 1;

static uint32_t below(uint32_t n)
{
    chance = chance * 1664525u + 1013904223u;
    return (chance >> 8) % n;
}

static struct shared_handle handle;
static struct node node = {.dir = DIR_ROOT};

/* Write a line to `new`, or to `suggest`. */
static int put(const char *line, uint32_t device, uint32_t uid, bool suggests, struct write *write)
{
    *write = (struct write){.node = &node,
                            .text = line,
                            .length = strlen(line),
                            .caller = {.uid = uid, .gid = uid},
                            .handle = &handle,
                            .fh = 1};
    return suggests ? files_new_store_suggest(&tree, write, device)
                    : files_new_store(&tree, write, device);
}

static void settle(void)
{
    engine_events_free(engine_take_events(tree.engine));
}

static void release(uint64_t id)
{
    struct caller root = {.root = true, .admin = true};
    struct refusal why;
    ck_assert_int_eq(engine_release(tree.engine, ENGINE_CALL(tree.now_ns, 7, &root, &why), id), 0);
    ck_assert_int_eq(engine_advance(tree.engine, tree.now_ns), 0);
    settle();
}

static void release_all(void)
{
    const struct partition *p;
    while ((p = engine_next(tree.engine, 0)))
        release(p->id);
}

/* Fill the devices with what has begun, what is reserved and what waits. */
static void fill(void)
{
    struct write write;
    char line[128];
    for (int i = 0; i < 12; i++) {
        static const char *const when[] = {
            "", "", " queue", " start=+600s", " start=+45m", " queue priority=low"};
        snprintf(line, sizeof(line), "0.%02u %us%s", 5 + below(70), 60 + below(7200),
                 when[below(6)]);
        put(line, below(3) ? below(2) : ENGINE_DEVICE_ANY, 2000 + below(3), false, &write);
    }
    settle();
}

/* Return the number of lines, all of which are accepted, each alone. */
static int check_lines(char *text, uint32_t device)
{
    int count = 0;
    struct write write;
    for (char *end; (end = strchr(text, '\n')) && end[1]; text = end + 1, count++) {
        *end = '\0';
        ck_assert_msg(!put(text, device, 3000, false, &write), "\"%s\": %s", text,
                      write.why.message);
        release(write.result);
    }
    return count;
}

START_TEST(all_are_accepted)
{
    static const char *const asks[] = {"0.9 3h",         "0.5 1h",       "5G 20m name=x",
                                       "0.7 2h queue",   "1 10m",        "0.6 1h start=+20m",
                                       "0.8 1h wait=5m", "100% 3h hold", "0.3 4h priority=low"};
    int lines = 0, refused = 0;
    for (uint32_t seed = 1; seed <= 300; seed++) {
        struct write write;
        char text[4096];
        release_all();
        chance = seed;
        fill();
        uint32_t device = below(3) ? below(2) : ENGINE_DEVICE_ANY;
        const char *ask = asks[below(sizeof(asks) / sizeof(asks[0]))];
        int r = put(ask, device, 3000, true, &write);
        ck_assert_msg(!r, "%s", write.why.message);
        ck_assert_int_eq(write.outcome, WRITE_SHOWS);
        snprintf(text, sizeof(text), "%s", tree.scratch.data);
        settle();
        lines += check_lines(text, device);
        r = put(ask, device, 3000, false, &write);
        ck_assert(!r == (strncmp(text, ask, strlen(ask)) == 0 && text[strlen(ask)] == '\0'));
        refused += r ? 1 : 0;
        settle();
    }
    ck_assert_int_gt(lines, 400);
    ck_assert_int_gt(refused, 100);
}
END_TEST

START_TEST(sentences)
{
    struct write write;
    grant(0, 0, "0.75 60");
    ck_assert_int_eq(put("0.5 40s", 0, 0, true, &write), 0);
    ck_assert_str_eq(tree.scratch.data,
                     "0.25 40s\n0.5 40s queue\n"
                     "0.5 for 40s does not fit now; 0.25 for 40s or gpu1 would; as asked from "
                     "00:19:20.\n");
    ck_assert_int_eq(put("0.2 40s", 0, 0, true, &write), 0);
    ck_assert_str_eq(tree.scratch.data, "0.2 40s\n0.2 for 40s fits now on gpu0.\n");
    ck_assert_int_eq(put("0.2 fortnight", 0, 0, true, &write), REFUSED_INVALID);
    /* A refusal of `new` says the same. */
    ck_assert_int_eq(put("0.5 40s", 0, 0, false, &write), REFUSED_NO_SPACE);
    ck_assert_ptr_nonnull(strstr(write.why.message, " 0.25 for 40s or gpu1 would fit now."));
    /* Another start for a reservation: the last one before, the first one after. */
    ck_assert_int_eq(put("1 1h start=+3h", 0, 0, false, &write), 0);
    ck_assert_int_eq(put("0.5 2h start=+150m", 0, 0, true, &write), 0);
    ck_assert_str_eq(tree.scratch.data,
                     "0.5 2h start=1970-01-01T01:18:20+00:00\n"
                     "0.5 2h start=1970-01-01T04:18:20+00:00\n"
                     "Not enough available memory: 0.5 for 2h cannot start at 02:48:20; it can "
                     "start at 01:18:20 or 04:18:20, when p2 of root has ended.\n");
    ck_assert_int_eq(put("0.5 2h start=+150m", 0, 0, false, &write), REFUSED_NO_SPACE);
    ck_assert_ptr_nonnull(strstr(write.why.message, "it can start at 01:18:20 or 04:18:20"));
    /* What was promised is in the way of a longer time. */
    ck_assert_int_eq(put("1 1h start=+10m", 1, 0, false, &write), 0);
    ck_assert_int_eq(put("0.5 2h", 1, 0, true, &write), 0);
    ck_assert_str_eq(tree.scratch.data, "0.5 10m\n0.5 2h queue\n0.5 for 2h does not fit now; 0.5 "
                                        "for 10m would; as asked from 01:28:20.\n");
    settle();
}
END_TEST

/* A quota is a bound like the room on a device, also of a user who has no record yet. */
START_TEST(quotas_bind)
{
    const struct caller root = {.root = true, .admin = true};
    const struct call *call = ENGINE_CALL(tree.now_ns, 7, &root, &(struct refusal){""});
    struct write write;
    ck_assert_int_eq(engine_set(tree.engine, call, "quota/user/0/fraction", "1"), 0);
    ck_assert_int_eq(engine_set(tree.engine, call, "quota/default/fraction", "0.3"), 0);
    ck_assert_int_eq(put("0.5 40s", 0, 3000, true, &write), 0);
    ck_assert_msg(strncmp(tree.scratch.data, "0.30 40s\n", 9) == 0, "%s", tree.scratch.data);
    ck_assert_int_eq(engine_set(tree.engine, call, "quota/user/3000/hours_day", "0.25"), 0);
    ck_assert_int_eq(put("0.25 2h", 0, 3000, true, &write), 0);
    ck_assert_msg(strstr(tree.scratch.data, "0.25 1h\n"), "%s", tree.scratch.data);
    settle();
    char text[4096];
    snprintf(text, sizeof(text), "%s", tree.scratch.data);
    ck_assert_int_gt(check_lines(text, 0), 1);
}
END_TEST

int main(void)
{
    setenv("TZ", "UTC0", 1);
    return check_main("suggestions", setup, teardown, all_are_accepted, sentences, quotas_bind);
}
