/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the state. Values of a row that must be consistent are checked here, before the caller
 * sees them. It must not know how anything is written.
 */
#include "sqlite_internal.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sqlite_read_head(struct sqlite_store *store, struct message *message)
{
    struct head head = {0};
    struct clock_row clock = {0};
    int count = 0, code = 0;
    struct sqlite_row row =
        sqlite_rows_begin(store, "log",
                          "SELECT seq, head_next_id, head_first_seq, head_seen_ns"
                          " FROM log ORDER BY seq DESC LIMIT 1",
                          message);
    for (; !code && sqlite_rows_next(&row); count++) {
        head.seq = sqlite_row_int(&row, 0, 0, INT64_MAX - 1);
        head.next_id = (uint64_t)sqlite_row_int(&row, 1, 1, INT64_MAX);
        head.first_seq = sqlite_row_int(&row, 2, 0, INT64_MAX);
        clock.clock.now_ns = sqlite_row_int(&row, 3, 0, STORE_UPTIME_MAX);
        code = sqlite_row_check(&row);
    }
    code = sqlite_rows_end(&row, code);
    if (code < 0)
        return code;
    row = sqlite_rows_begin(store, "clock", "SELECT one, boot_id, offset_ns, mount_id FROM clock",
                            message);
    for (; !code && sqlite_rows_next(&row); count++) {
        sqlite_row_int(&row, 0, 1, 1);
        sqlite_row_line(&row, 1, 0, clock.clock.boot_id, sizeof(clock.clock.boot_id));
        clock.clock.offset_ns = sqlite_row_int(&row, 2, -STORE_TIME_MAX, STORE_TIME_MAX);
        clock.mount_id = (uint64_t)sqlite_row_int(&row, 3, INT64_MIN, INT64_MAX);
        code = sqlite_row_check(&row);
    }
    code = sqlite_rows_end(&row, code);
    if (!code && count != 2) {
        message_set(
            0, message,
            "%s/" STATE_FILE
            " is damaged: table log or clock is empty. Nothing was changed: restore a backup.",
            store->directory);
        code = -EBADMSG;
    }
    if (!code) {
        store->head = head;
        store->clock = clock;
    }
    return code;
}

static bool key_is_new(const struct device_row *devices, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(devices[i].device.key, key) == 0)
            return false;
    }
    return true;
}

int sqlite_read_devices(struct sqlite_store *store, struct message *message)
{
    struct device_row *devices = calloc(STATE_DEVICES_MAX, sizeof(*devices));
    uint32_t count = 0;
    int code = 0;
    if (!devices)
        return -ENOMEM;
    struct sqlite_row row = sqlite_rows_begin(
        store, "device", "SELECT row, key, name, memory_bytes FROM device ORDER BY row", message);
    while (!code && sqlite_rows_next(&row)) {
        struct device_row device;
        device.row = sqlite_row_key(&row, 0, 1, INT64_MAX - 1);
        sqlite_row_line(&row, 1, 1, device.device.key, sizeof(device.device.key));
        sqlite_row_line(&row, 2, 0, device.device.name, sizeof(device.device.name));
        device.device.bytes = (uint64_t)sqlite_row_int(&row, 3, 1, INT64_MAX);
        if (!row.bad &&
            (count == STATE_DEVICES_MAX || !key_is_new(devices, count, device.device.key)))
            row.bad = "key";
        code = sqlite_row_check(&row);
        if (!code)
            devices[count++] = device;
    }
    code = sqlite_rows_end(&row, code);
    if (code < 0) {
        free(devices);
        return code;
    }
    free(store->devices);
    store->devices = devices;
    store->device_count = count;
    return 0;
}

static int load_settings(struct sqlite_store *store, const struct store_sink *sink,
                         struct message *message)
{
    char key[ENGINE_KEY_MAX], value[ENGINE_VALUE_MAX], last[ENGINE_KEY_MAX] = "";
    int code = 0;
    struct sqlite_row row =
        sqlite_rows_begin(store, "setting",
                          "SELECT key, value FROM setting WHERE NOT (" SQLITE_IS_GUEST ")"
                          " AND NOT (" SQLITE_IS_USAGE ") ORDER BY key",
                          message);
    while (!code && sqlite_rows_next(&row)) {
        sqlite_row_line(&row, 0, 1, key, sizeof(key));
        sqlite_row_line(&row, 1, 1, value, sizeof(value));
        if (!row.bad && strcmp(key, last) <= 0)
            row.bad = "key";
        memcpy(last, key, sizeof(last));
        code = sqlite_row_check(&row);
        if (!code && sink->setting)
            code = sink->setting(sink->context, key, value);
    }
    return sqlite_rows_end(&row, code);
}

/* Checks for live partitions and for history. */
static void judge_partition(struct sqlite_row *row, const struct partition *p)
{
    if (row->bad)
        return;
    if (p->id >= row->store->head.next_id)
        row->bad = "id";
    else if (p->change_seq > (uint64_t)row->store->head.seq)
        row->bad = "seq or change_seq";
    else if (!store_label_fits(p->name))
        row->bad = "name";
    else if (!ending_is_sound(p))
        row->bad = "warn_signal or state";
}

static struct sqlite_row records_begin(struct sqlite_store *store, enum sqlite_table table,
                                       const char *tail, struct message *message)
{
    char *sql = sqlite_schema_select(table, store->format, tail);
    struct sqlite_row row =
        sqlite_rows_begin(store, table == SQLITE_PARTITION ? "partition" : "history", sql, message);
    sqlite3_free(sql);
    return row;
}

static int load_partition(struct sqlite_row *row, struct sqlite_waiting *waiting,
                          const struct store_device **room, const struct store_sink *sink)
{
    struct sqlite_record record = {.p.share_count = 1};
    struct store_partition loaded;
    sqlite_schema_read(row, SQLITE_PARTITION, &record);
    judge_partition(row, &record.p);
    int code = sqlite_waiting_take(waiting, row, &record.p, room, &loaded);
    record.p.start_ns = store_clock_move(record.p.start_ns, row->store->shift_ns);
    record.p.end_ns = store_clock_move(record.p.end_ns, row->store->shift_ns);
    if (!row->bad && record.p.end_ns <= record.p.start_ns)
        row->bad = "end_ns";
    sqlite_place_read(row, &record, loaded.devices);
    loaded.partition = record.p;
    loaded.usage = record.usage;
    if (!code)
        code = sqlite_row_check(row);
    if (!code && sink->partition)
        code = sink->partition(sink->context, &loaded);
    return code ? code : sqlite_waiting_next(waiting, &loaded);
}

static int load_partitions(struct sqlite_store *store, const struct store_sink *sink,
                           struct message *message)
{
    struct sqlite_waiting waiting;
    const struct store_device **room = calloc(STATE_DEVICES_MAX, 2 * sizeof(struct store_device *));
    if (!room)
        return -ENOMEM;
    int code = sqlite_waiting_begin(store, &waiting, message);
    struct sqlite_row row = records_begin(store, SQLITE_PARTITION, "ORDER BY id", message);
    while (!code && sqlite_rows_next(&row))
        code = load_partition(&row, &waiting, room, sink);
    code = sqlite_rows_end(&row, code);
    free(room);
    return sqlite_waiting_end(&waiting, code);
}

static const struct {
    enum event_kind kind;
    const char *word;
} ends[] = {{EVENT_EXPIRED, "expired"}, {EVENT_RELEASED, "released"}, {EVENT_REVOKED, "revoked"},
            {EVENT_CLOSED, "closed"},   {EVENT_GAVE_UP, "gave-up"},   {EVENT_NO_SHOW, "no-show"}};

static enum event_kind find_how(struct sqlite_row *row, const char *word)
{
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        if (strcmp(word, ends[i].word) == 0)
            return ends[i].kind;
    }
    if (!row->bad)
        row->bad = "how";
    return EVENT_EXPIRED;
}

const char *sqlite_how(enum event_kind kind)
{
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        if (ends[i].kind == kind)
            return ends[i].word;
    }
    return NULL;
}

static int history_row(struct sqlite_row *row, const struct store_clock *clock,
                       const struct store_sink *sink)
{
    struct sqlite_record record = {.p.share_count = 1};
    sqlite_schema_read(row, SQLITE_HISTORY, &record);
    judge_partition(row, &record.p);
    struct store_history entry = {.start_wall_ns = record.p.start_ns,
                                  .end_wall_ns = record.p.end_ns,
                                  .how = find_how(row, record.how),
                                  .by_uid = record.by_uid,
                                  .usage = record.usage};
    sqlite_place_read(row, &record, entry.devices);
    entry.partition = record.p;
    int code = sqlite_row_check(row);
    if (code < 0)
        return code;
    /* By the wall clock that wrote it, as far as known: one that was set since could place the end
     * in the future. */
    int64_t shift_ns = row->store->shift_ns - row->store->clock.clock.offset_ns;
    entry.partition.start_ns = store_clock_move(entry.start_wall_ns, shift_ns);
    entry.partition.end_ns = store_clock_move(entry.end_wall_ns, shift_ns);
    if (entry.partition.end_ns > clock->now_ns)
        entry.partition.end_ns = clock->now_ns;
    return sink->history(sink->context, &entry);
}

static int load_history(struct sqlite_store *store, const struct store_clock *clock,
                        const struct store_sink *sink, struct message *message)
{
    int code = 0;
    if (!sink->history || sink->max_history == 0)
        return 0;
    struct sqlite_row row =
        records_begin(store, SQLITE_HISTORY,
                      "WHERE seq > coalesce((SELECT seq FROM history ORDER BY seq DESC"
                      " LIMIT 1 OFFSET ?), -1) ORDER BY seq",
                      message);
    if (row.r == SQLITE_OK)
        row.r = sqlite3_bind_int64(row.statement, 1,
                                   sink->max_history < INT64_MAX ? (int64_t)sink->max_history
                                                                 : INT64_MAX);
    while (!code && sqlite_rows_next(&row))
        code = history_row(&row, clock, sink);
    return sqlite_rows_end(&row, code);
}

static int load_lines(struct sqlite_store *store, const struct store_sink *sink,
                      struct message *message)
{
    char line[STORE_LINE_MAX];
    int code = 0;
    struct sqlite_row row =
        sqlite_rows_begin(store, "log",
                          "SELECT seq, line FROM log WHERE line IS NOT NULL AND seq >= ?"
                          " ORDER BY seq",
                          message);
    if (row.r == SQLITE_OK)
        row.r = sqlite3_bind_int64(row.statement, 1, store->head.first_seq);
    while (!code && sqlite_rows_next(&row)) {
        int64_t seq = sqlite_row_key(&row, 0, 1, store->head.seq);
        sqlite_row_line(&row, 1, 1, line, sizeof(line));
        code = sqlite_row_check(&row);
        if (!code && sink->line)
            code = sink->line(sink->context, (uint64_t)seq, line);
    }
    return sqlite_rows_end(&row, code);
}

static int load_replies(struct sqlite_store *store, const struct store_sink *sink,
                        struct message *message)
{
    int code = 0;
    struct sqlite_row row = sqlite_rows_begin(
        store, "log", "SELECT seq, head_replies FROM log ORDER BY seq DESC LIMIT 1", message);
    while (!code && sqlite_rows_next(&row)) {
        int type = sqlite3_column_type(row.statement, 1);
        const unsigned char *blob = sqlite3_column_blob(row.statement, 1);
        size_t length = (size_t)sqlite3_column_bytes(row.statement, 1);
        if ((type != SQLITE_BLOB && type != SQLITE_NULL) || length % 16 != 0 ||
            (length > 0 && !blob))
            row.bad = "head_replies";
        code = sqlite_row_check(&row);
        for (size_t i = 0; !code && sink->reply && i < length; i += 16) {
            uint64_t pair[2];
            memcpy(pair, blob + i, sizeof(pair));
            struct store_reply reply = {le64toh(pair[0]), le64toh(pair[1])};
            code = sink->reply(sink->context, &reply);
        }
    }
    return sqlite_rows_end(&row, code);
}

int sqlite_load(struct store *base, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, struct message *message)
{
    struct sqlite_store *store = (struct sqlite_store *)base;

    int r = sqlite_read_head(store, message);
    if (!r)
        r = sqlite_read_devices(store, message);
    if (!r)
        store->shift_ns = store_clock_shift(&store->clock.clock, clock);
    if (!r)
        r = load_settings(store, sink, message);
    if (!r)
        r = sqlite_usage_load(store, sink, message);
    if (!r)
        r = load_partitions(store, sink, message);
    if (!r)
        r = sqlite_guest_load(store, sink, message);
    if (!r)
        r = load_history(store, clock, sink, message);
    if (!r)
        r = load_lines(store, sink, message);
    if (!r)
        r = load_replies(store, sink, message);
    if (r)
        return r;
    store->calendar_offset_ns = store->clock.clock.boot_id[0] == '\0'
                                    ? clock->offset_ns
                                    : store->clock.clock.offset_ns - store->shift_ns;
    sqlite_prune_start(store);
    /* The file is accepted, so it may be written from now on. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite_wal_begin(store);
    *ret_counters = (struct store_counters){.next_id = sqlite_origin_next_id(store),
                                            .next_seq = (uint64_t)store->head.seq + 1,
                                            .mount_id = store->clock.mount_id};
    return 0;
}
