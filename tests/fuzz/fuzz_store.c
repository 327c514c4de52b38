/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state file of arbitrary bytes: opening and loading it must either refuse with a
 * message, or give a consistent state that can be written to. With FUZZ_SEEDS the same
 * program writes good files to start from.
 */
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

/* A create, a change and an end; whether it works depends on the damage. */
static void write_to(struct store *store, const struct store_counters *counters)
{
    struct store_device device = {.key = "key", .name = "name", .bytes = 1 << 30};
    struct engine_event events[3] = {0};
    struct store_item items[3];
    struct store_reply reply = {2, counters->next_id};
    struct message why = {""};

    int r = store_devices(store, &device, 1, &why);
    explained(r, why.text);
    for (size_t i = 0; i < 3; i++) {
        events[i].kind = i == 0 ? EVENT_CREATED : i == 1 ? EVENT_RESIZED : EVENT_RELEASED;
        events[i].seq = counters->next_seq + i;
        events[i].after = (struct partition){.id = counters->next_id,
                                             .state = PARTITION_ACTIVE,
                                             .share_count = 1,
                                             .shares[0].memory_bytes = 5 + i,
                                             .end_ns = 10,
                                             .change_seq = events[i].seq};
        items[i] = (struct store_item){&events[i], "line", {7, 8}};
    }
    struct store_batch batch = {.items = items,
                                .item_count = 3,
                                .replies = &reply,
                                .reply_count = 1,
                                .clock = boot,
                                .retention_ns = 1,
                                .first_line_seq = counters->next_seq};
    if (!r && counters->next_seq < INT64_MAX - 3 && counters->next_id < INT64_MAX - 1) {
        r = store_commit(store, &batch, &why);
        explained(r, why.text);
    }
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
