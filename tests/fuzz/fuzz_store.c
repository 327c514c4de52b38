/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state file of arbitrary bytes: opening and loading it must either refuse with a
 * message, or give a consistent state that can be written to. With FUZZ_SEEDS the same
 * program writes good files to start from.
 */
#include "core/store/internal.h"
#include "tests/store/help.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct store_clock boot = {"boot-1", INT64_C(1795226304146806967), 0};

static void die(const char *what)
{
    fprintf(stderr, "fuzz_store: %s\n", what);
    abort();
}

/* -- what must be true of everything that was loaded ------------------------------ */

struct seen {
    uint64_t last_id, last_seq, last_line;
    char last_key[ENGINE_KEY_MAX];
};

static void line_is_good(const char *text, size_t size)
{
    if (strlen(text) >= size)
        die("a text is too long");
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            die("a text is not one line");
    }
}

static int see_setting(void *context, const char *key, const char *value)
{
    struct seen *seen = context;
    if (strcmp(key, seen->last_key) <= 0)
        die("settings are not in order");
    snprintf(seen->last_key, sizeof(seen->last_key), "%s", key);
    line_is_good(key, ENGINE_KEY_MAX);
    line_is_good(value, ENGINE_VALUE_MAX);
    return 0;
}

static void see_shares(const struct partition *p, const struct store_device *const *devices)
{
    if (p->share_count == 0 || p->share_count > SHARE_MAX)
        die("a partition has no shares, or too many");
    for (uint32_t i = 0; i < p->share_count; i++) {
        line_is_good(devices[i]->key, sizeof(devices[i]->key));
        line_is_good(devices[i]->name, sizeof(devices[i]->name));
        if (p->shares[i].memory_bytes == 0 || p->shares[i].memory_bytes > INT64_MAX ||
            p->shares[i].compute_ppm > 1000000 || devices[i]->bytes == 0 ||
            devices[i]->key[0] == '\0')
            die("a share cannot be true");
        for (uint32_t j = 0; j < i; j++)
            if (devices[i] == devices[j])
                die("two shares are on one device");
    }
}

static void see_waiting(const struct store_partition *stored)
{
    if (!stored->waiting != (stored->partition.state != PARTITION_PENDING))
        die("it waits, or it does not");
    if (stored->waiting && (!waiting_is_sound(stored->waiting) ||
                            stored->waiting->promised_ns < stored->partition.start_ns))
        die("what waits cannot be true");
    for (size_t i = 0; i < stored->barred.count; i++)
        line_is_good(stored->barred.devices[i]->key, sizeof(stored->barred.devices[i]->key));
    for (size_t i = 0; i < stored->preferred.count; i++)
        line_is_good(stored->preferred.devices[i]->key, sizeof(stored->preferred.devices[i]->key));
}

static int see_partition(void *context, const struct store_partition *stored)
{
    const struct partition *p = &stored->partition;
    struct seen *seen = context;
    see_shares(p, stored->devices);
    see_waiting(stored);
    line_is_good(p->name, sizeof(p->name));
    if (p->id <= seen->last_id || p->end_ns <= p->start_ns || p->mode > 07777 ||
        stored->usage.peak_bytes > INT64_MAX || stored->usage.gpu_ns > INT64_MAX ||
        !ending_is_sound(p))
        die("a partition cannot be true");
    seen->last_id = p->id;
    return 0;
}

static int see_usage(void *context, const struct usage_record *record)
{
    (void)context;
    if (!store_record_fits(record))
        die("usage cannot be true");
    return 0;
}

static int see_origin(void *context, int64_t origin_ns)
{
    (void)context;
    if (origin_ns > STORE_TIME_MAX || origin_ns < -STORE_TIME_MAX)
        die("an origin cannot be true");
    return 0;
}

static int see_guest(void *context, uint64_t id, uint32_t uid)
{
    (void)context;
    if (id == 0 || uid == UINT32_MAX)
        die("a guest cannot be true");
    return 0;
}

static int see_history(void *context, const struct store_history *entry)
{
    struct seen *seen = context;
    if (!event_kind_is_end(entry->how) || entry->partition.id == 0 ||
        entry->partition.change_seq <= seen->last_seq)
        die("history cannot be true");
    see_shares(&entry->partition, entry->devices);
    seen->last_seq = entry->partition.change_seq;
    return 0;
}

static int see_line(void *context, uint64_t seq, const char *line)
{
    struct seen *seen = context;
    line_is_good(line, STORE_LINE_MAX);
    if (seq <= seen->last_line)
        die("lines are not in order");
    seen->last_line = seq;
    return 0;
}

static int see_reply(void *context, const struct store_reply *reply)
{
    (void)context, (void)reply;
    return 0;
}

static void explained(int r, const char *text)
{
    if (r > 0 || (r < 0 && text[0] == '\0') || strchr(text, '\n'))
        die("refused without a message");
}

/* -- using it ------------------------------------------------------------------------ */

static int load(struct store *store, struct store_counters *counters)
{
    struct message why = {""};
    struct seen seen = {0};
    struct store_sink sink = {.context = &seen,
                              .setting = see_setting,
                              .usage = see_usage,
                              .origin = see_origin,
                              .partition = see_partition,
                              .guest = see_guest,
                              .history = see_history,
                              .line = see_line,
                              .reply = see_reply,
                              .max_history = 100};
    int r = store_load(store, &boot, &sink, counters, &why);
    explained(r, why.text);
    if (!r && (counters->next_id <= seen.last_id || counters->next_seq <= seen.last_seq ||
               counters->next_seq <= seen.last_line))
        die("numbers would be used again");
    return r;
}

static void commit(struct store *store, const struct store_batch *batch)
{
    struct message why = {""};
    explained(store_commit(store, batch, &why), why.text);
}

/* A create, a change and an end, of one that starts at once and of one that waits; whether it works
 * depends on the damage. */
static void write_to(struct store *store, const struct store_counters *counters)
{
    static struct attempt attempt;
    const uint64_t id = counters->next_id, seq = counters->next_seq;
    struct store_device device[2];
    struct message why = {""};

    devices_make(device, 2);
    int r = store_devices(store, device, 2, &why);
    explained(r, why.text);
    if (r || seq >= INT64_MAX - 8 || id >= INT64_MAX - 2)
        return;
    struct partition now = partition_make(id, 0, 10), later = partition_waits(id + 1, 10, 20, 2);
    struct waiting waiting = waiting_make(12);
    waiting_bar(&waiting, 1);
    waiting_prefer(&waiting, 0);
    attempt_begin(&attempt, &boot);
    attempt.batch.retention_ns = 1;
    attempt.batch.first_line_seq = seq;
    attempt_add(&attempt, seq, EVENT_CREATED, &now, "line");
    attempt_wait(&attempt, seq + 1, EVENT_CREATED, &later, &waiting);
    attempt_add(&attempt, seq + 2, EVENT_RESIZED, &now, "line");
    attempt_reply(&attempt, 2, id);
    commit(store, &attempt.batch);
    attempt_begin(&attempt, &boot);
    attempt_wait(&attempt, seq + 3, EVENT_MOVED, &later, &waiting);
    attempt_add(&attempt, seq + 4, EVENT_RELEASED, &now, "line");
    attempt.items[1].usage = (struct store_usage){7, 8};
    commit(store, &attempt.batch);
    attempt_begin(&attempt, &boot);
    later.state = PARTITION_ACTIVE;
    attempt_wait(&attempt, seq + 5, EVENT_STARTED, &later, &waiting)->before.state =
        PARTITION_PENDING;
    attempt_add(&attempt, seq + 6, EVENT_REVOKED, &later, "line");
    commit(store, &attempt.batch);
}

static const char *directory(void)
{
    static char path[64];
    if (path[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        snprintf(path, sizeof(path), "%.40s/store-XXXXXX", parent ? parent : "/dev/shm");
        if (!mkdtemp(path))
            die("no room for a state");
    }
    return path;
}

static void remove_files(void)
{
    static const char *const names[] = {"state.db", "state.db-wal", "state.db-journal", "last_id",
                                        "machine"};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory(), names[i]);
        unlink(path);
    }
}

static void remove_all(void)
{
    remove_files();
    rmdir(directory());
}

static void put_file(const uint8_t *data, size_t size)
{
    static bool registered;
    char path[128];
    if (!registered)
        atexit(remove_all);
    registered = true;
    remove_files();
    snprintf(path, sizeof(path), "%s/state.db", directory());
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        die("cannot write the file");
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store *store = NULL;
    struct store_counters counters = {0};
    struct message why = {""};
    bool check = size % 2;

    put_file(data, size);
    int r = store_sqlite.open(directory(), check, &store, &why);
    explained(r, why.text);
    if (!r && load(store, &counters) == 0)
        write_to(store, &counters);
    store_close(store);
    return 0;
}

/* -- what to start from ----------------------------------------------------------------- */

static void add_events(struct store *store, uint64_t seq)
{
    struct engine_event events[2] = {0};
    struct store_item items[2] = {{&events[0], "a line", {0}},
                                  {&events[1], "another line", {5, 6}}};
    struct message why = {""};
    for (size_t i = 0; i < 2; i++) {
        events[i].seq = seq + i;
        events[i].kind = i == 0 ? EVENT_CREATED : seq % 4 == 1 ? EVENT_EXPIRED : EVENT_SETTING;
        events[i].after = (struct partition){.id = seq,
                                             .state = PARTITION_ACTIVE,
                                             .share_count = 1,
                                             .shares[0].memory_bytes = 5368709120,
                                             .end_ns = INT64_C(3600000000000),
                                             .creator_pid = 4711,
                                             .on_expiry = ON_EXPIRY_TERM,
                                             .grace_ns = INT64_C(10000000000),
                                             .warn.ns = INT64_C(300000000000),
                                             .change_seq = seq,
                                             .name = "train"};
        snprintf(events[i].key, sizeof(events[i].key), "config/%d", (int)seq);
        strcpy(events[i].value, "30d");
    }
    struct store_reply reply = {seq, seq};
    struct store_partition_usage usage = {seq, {1 << 20, INT64_C(1000000)}};
    struct store_batch batch = {.items = items,
                                .item_count = 2,
                                .replies = &reply,
                                .reply_count = 1,
                                .usages = &usage,
                                .usage_count = 1,
                                .clock = boot,
                                .mount_id = 77,
                                .retention_ns = INT64_MAX};
    if (store_commit(store, &batch, &why) != 0)
        die(why.text);
}

/* One that waits for both devices, and what its user has used. */
static void add_waiting(struct store *store, uint64_t seq)
{
    static struct attempt attempt;
    struct message why = {""};
    struct partition p = partition_waits(seq, 10, 20, 2);
    struct waiting waiting = waiting_make(12);
    struct usage_change change = {.after = {.id = 1000, .epoch = 3, .booked = 5, .day = {9, -7}}};

    waiting_bar(&waiting, 0);
    waiting_prefer(&waiting, 1);
    attempt_begin(&attempt, &boot);
    attempt_wait(&attempt, seq, EVENT_CREATED, &p, &waiting)->usage = &change;
    attempt.events[0].usage_count = 1;
    if (store_commit(store, &attempt.batch, &why) != 0)
        die(why.text);
}

/* Copies the state file into the directory of seeds. */
static void copy_seed(const char *into, const char *name)
{
    char command[512];
    snprintf(command, sizeof(command), "cp %s/state.db '%.300s/%s'", directory(), into, name);
    if (system(command) != 0)
        die("cannot write a seed");
}

static void write_seed(const char *into, uint64_t batches)
{
    struct message why = {""};
    char name[32];
    struct store_device devices[2] = {{.key = "uuid:1", .name = "one", .bytes = 1 << 30},
                                      {.key = "uuid:2", .name = "two", .bytes = 1 << 30}};
    struct store *store = NULL;
    struct store_counters counters;
    remove_files();
    if (store_sqlite.open(directory(), true, &store, &why) != 0 || load(store, &counters) != 0 ||
        store_devices(store, devices, 2, &why) != 0)
        die(why.text);
    for (uint64_t i = 0; i < batches; i++)
        add_events(store, 1 + 2 * i);
    for (uint64_t i = 0; i < batches / 2; i++)
        add_waiting(store, 1 + 2 * batches + i);
    store_close(store);
    snprintf(name, sizeof(name), "seed%d", (int)batches);
    copy_seed(into, name);
}

/* libFuzzer calls this first. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *into = getenv("FUZZ_SEEDS");
    (void)argc, (void)argv;
    if (!into)
        return 0;
    write_seed(into, 0);
    write_seed(into, 2);
    write_seed(into, 40);
    remove_all();
    exit(0);
}
