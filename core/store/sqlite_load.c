/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the state. A file can be well-formed and still say what cannot be
 * true (edited by hand, damaged by luck), so each value is checked before anybody
 * hears of it. It must not know how anything is written.
 */
#include "sqlite_internal.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row being read; `bad` names the first column that cannot be true. */
struct row {
    struct sqlite_store *store;
    const char *table;
    sqlite3_stmt *statement;
    int rc;
    const char *bad;
    int64_t last; /* the key of the row before */
    char *message;
    size_t size;
};

static int64_t column_int(struct row *row, int column, int64_t min, int64_t max)
{
    int64_t value = sqlite3_column_int64(row->statement, column);
    if (row->bad == NULL && (sqlite3_column_type(row->statement, column) != SQLITE_INTEGER ||
                             value < min || value > max))
        row->bad = sqlite3_column_name(row->statement, column);
    return value;
}

/* The key that the rows are in order of: a damaged tree may have one twice, or
 * in the wrong place, where it would not be found again. */
static int64_t column_key(struct row *row, int column, int64_t min, int64_t max)
{
    row->last = column_int(row, column, min > row->last ? min : row->last + 1, max);
    return row->last;
}

static uint32_t column_u32(struct row *row, int column, uint32_t max)
{
    return (uint32_t)column_int(row, column, 0, max);
}

/* One printable line (UTF-8 passes) of less than `size` bytes. */
static void column_line(struct row *row, int column, size_t min, char *ret, size_t size)
{
    ret[0] = '\0';
    bool good = sqlite3_column_type(row->statement, column) == SQLITE_TEXT;
    const char *text = good ? (const char *)sqlite3_column_text(row->statement, column) : NULL;
    size_t length = text != NULL ? (size_t)sqlite3_column_bytes(row->statement, column) : 0;
    good = text != NULL && strlen(text) == length && store_line_fits(text, min, size);
    if (good)
        memcpy(ret, text, length + 1);
    else if (row->bad == NULL)
        row->bad = sqlite3_column_name(row->statement, column);
}

static void column_label(struct row *row, int column, char *ret)
{
    column_line(row, column, 0, ret, PARTITION_NAME_MAX + 1);
    if (row->bad == NULL && !store_label_fits(ret))
        row->bad = sqlite3_column_name(row->statement, column);
}

static struct row rows_begin(struct sqlite_store *store, const char *table, const char *sql,
                             char *message, size_t size)
{
    struct row row = {.store = store, .table = table, .last = -1, .message = message, .size = size};
    row.rc = sqlite3_prepare_v2(store->db, sql, -1, &row.statement, NULL);
    return row;
}

static bool rows_next(struct row *row)
{
    if (row->rc == SQLITE_OK)
        row->rc = sqlite3_step(row->statement);
    if (row->rc != SQLITE_ROW)
        return false;
    row->rc = SQLITE_OK;
    return true;
}

/* What cannot be true is a refusal that says which row it is. */
static int row_judge(struct row *row)
{
    if (row->bad == NULL)
        return 0;
    const char *key = (const char *)sqlite3_column_text(row->statement, 0);
    snprintf(row->message, row->size,
             "%s/" STATE_FILE " is damaged: %s cannot be true in the row %.80s of table %s; "
             "nothing was changed: put a copy back, or correct the row",
             row->store->directory, row->bad, key != NULL ? key : "NULL", row->table);
    return -EBADMSG;
}

static int rows_end(struct row *row, int code)
{
    if (code == 0 && row->rc != SQLITE_DONE) {
        code = sqlite_errno(row->store->db, row->rc);
        char what[128];
        snprintf(what, sizeof(what), "table %s of the state cannot be read", row->table);
        sqlite_message(row->message, row->size, what, row->store->db, row->rc);
    }
    sqlite3_finalize(row->statement);
    return code;
}

int sqlite_read_head(struct sqlite_store *store, char *message, size_t size)
{
    struct head head = {0};
    struct clock_row clock = {0};
    int count = 0, code = 0;
    struct row row = rows_begin(store, "log",
                                "SELECT seq, head_next_id, head_first_seq FROM log"
                                " ORDER BY seq DESC LIMIT 1",
                                message, size);
    for (; code == 0 && rows_next(&row); count++) {
        head.seq = column_int(&row, 0, 0, INT64_MAX - 1);
        head.next_id = (uint64_t)column_int(&row, 1, 1, INT64_MAX);
        head.first_seq = column_int(&row, 2, 0, INT64_MAX);
        code = row_judge(&row);
    }
    code = rows_end(&row, code);
    if (code < 0)
        return code;
    row = rows_begin(store, "clock", "SELECT one, boot_id, offset_ns, mount_id FROM clock", message,
                     size);
    for (; code == 0 && rows_next(&row); count++) {
        column_int(&row, 0, 1, 1);
        column_line(&row, 1, 0, clock.clock.boot_id, sizeof(clock.clock.boot_id));
        clock.clock.offset_ns = column_int(&row, 2, -STORE_TIME_MAX, STORE_TIME_MAX);
        clock.mount_id = (uint64_t)column_int(&row, 3, INT64_MIN, INT64_MAX);
        code = row_judge(&row);
    }
    code = rows_end(&row, code);
    if (code == 0 && count != 2) {
        snprintf(message, size,
                 "%s/" STATE_FILE " is damaged: table log or clock is empty; nothing was changed: "
                 "put a copy back",
                 store->directory);
        code = -EBADMSG;
    }
    if (code == 0) {
        store->head = head;
        store->clock = clock;
    }
    return code;
}

static bool key_is_new(const struct device_row *devices, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(devices[i].key, key) == 0)
            return false;
    }
    return true;
}

int sqlite_read_devices(struct sqlite_store *store, char *message, size_t size)
{
    struct device_row *devices = calloc(STATE_DEVICES_MAX, sizeof(*devices));
    uint32_t count = 0;
    int code = 0;
    if (devices == NULL)
        return -ENOMEM;
    struct row row =
        rows_begin(store, "device", "SELECT row, key, name, memory_bytes FROM device ORDER BY row",
                   message, size);
    while (code == 0 && rows_next(&row)) {
        struct device_row device;
        device.row = column_key(&row, 0, 1, INT64_MAX - 1);
        column_line(&row, 1, 1, device.key, sizeof(device.key));
        column_line(&row, 2, 0, device.name, sizeof(device.name));
        device.memory_bytes = (uint64_t)column_int(&row, 3, 1, INT64_MAX);
        if (row.bad == NULL &&
            (count == STATE_DEVICES_MAX || !key_is_new(devices, count, device.key)))
            row.bad = "key";
        code = row_judge(&row);
        if (code == 0)
            devices[count++] = device;
    }
    code = rows_end(&row, code);
    if (code < 0) {
        free(devices);
        return code;
    }
    free(store->devices);
    store->devices = devices;
    store->device_count = count;
    return 0;
}

static const struct device_row *column_device(struct row *row, int column)
{
    int64_t number = column_int(row, column, 1, INT64_MAX - 1);
    for (uint32_t i = 0; i < row->store->device_count; i++) {
        if (row->store->devices[i].row == number)
            return &row->store->devices[i];
    }
    if (row->bad == NULL)
        row->bad = "device";
    return NULL;
}

static uint32_t device_index(const struct sqlite_store *store, int64_t number)
{
    for (uint32_t i = 0; i < store->index_count; i++) {
        if (store->device_rows[i] == number)
            return i;
    }
    return ENGINE_DEVICE_ANY;
}

static int load_settings(struct sqlite_store *store, const struct store_sink *sink, char *message,
                         size_t size)
{
    char key[ENGINE_KEY_MAX], value[ENGINE_VALUE_MAX], last[ENGINE_KEY_MAX] = "";
    int code = 0;
    struct row row =
        rows_begin(store, "setting", "SELECT key, value FROM setting ORDER BY key", message, size);
    while (code == 0 && rows_next(&row)) {
        column_line(&row, 0, 1, key, sizeof(key));
        column_line(&row, 1, 1, value, sizeof(value));
        if (row.bad == NULL && strcmp(key, last) <= 0)
            row.bad = "key";
        memcpy(last, key, sizeof(last));
        code = row_judge(&row);
        if (code == 0 && sink->setting != NULL)
            code = sink->setting(sink->context, key, value);
    }
    return rows_end(&row, code);
}

/* What partitions and history have in common, from column 3 on. */
#define COMMON_1                                                                                   \
    "uid, gid, mode, on_expiry, memory_bytes, created_wall_ns, creator_ns, creator_uid,"           \
    " creator_pid, name"
#define COMMON COMMON_1 ", grace_ns, warn_ns, warn_signal, warned"
enum { COMMON_COLUMNS = 14 };

/* A query of format 2, or the same where a file of format 1 has no such columns yet. */
#define BY_FORMAT(store, begin, end)                                                               \
    ((store)->format == 1 ? begin COMMON_1 ", 0 AS grace_ns, 0 AS warn_ns, 0 AS warn_signal,"      \
                                           " 0 AS warned" end                                      \
                          : begin COMMON end)

static void column_common(struct row *row, int column, struct partition *p)
{
    p->uid = column_u32(row, column, UINT32_MAX);
    p->gid = column_u32(row, column + 1, UINT32_MAX);
    p->mode = column_u32(row, column + 2, 07777);
    p->on_expiry =
        column_u32(row, column + 3, row->store->format == 1 ? ON_EXPIRY_NONE : ON_EXPIRY_KILL);
    p->memory_bytes = (uint64_t)column_int(row, column + 4, 1, INT64_MAX);
    p->created_wall_ns = column_int(row, column + 5, -STORE_TIME_MAX, STORE_TIME_MAX);
    p->creator_ns = (uint64_t)column_int(row, column + 6, INT64_MIN, INT64_MAX);
    p->creator_uid = column_u32(row, column + 7, UINT32_MAX);
    p->creator_pid = (int32_t)column_int(row, column + 8, 0, INT32_MAX);
    column_label(row, column + 9, p->name);
    p->grace_ns = column_int(row, column + 10, 0, DURATION_MAX_NS);
    p->warn.ns = column_int(row, column + 11, 0, DURATION_MAX_NS);
    p->warn.signal = column_u32(row, column + 12, INT32_MAX);
    p->warned = column_u32(row, column + 13, 1);
    if (row->bad == NULL && !ending_is_sound(p))
        row->bad = "warn_signal or warned";
}

static int load_partitions(struct sqlite_store *store, const struct store_clock *clock,
                           const struct store_sink *sink, char *message, size_t size)
{
    int code = 0;
    struct row row = rows_begin(store, "partition",
                                BY_FORMAT(store, "SELECT id, device, ",
                                          ", start_ns, end_ns, hold, change_seq"
                                          " FROM partition ORDER BY id"),
                                message, size);
    while (code == 0 && rows_next(&row)) {
        struct partition p = {0};
        p.id = (uint64_t)column_key(&row, 0, 1, (int64_t)store->head.next_id - 1);
        const struct device_row *device = column_device(&row, 1);
        column_common(&row, 2, &p);
        p.start_ns = column_int(&row, 2 + COMMON_COLUMNS, -STORE_TIME_MAX, STORE_TIME_MAX);
        p.end_ns = column_int(&row, 3 + COMMON_COLUMNS, -STORE_TIME_MAX, STORE_TIME_MAX);
        if (row.bad == NULL && p.end_ns <= p.start_ns)
            row.bad = "end_ns";
        p.hold = (uint64_t)column_int(&row, 4 + COMMON_COLUMNS, INT64_MIN, INT64_MAX);
        p.change_seq = (uint64_t)column_int(&row, 5 + COMMON_COLUMNS, 0, store->head.seq);
        code = row_judge(&row);
        if (code < 0 || sink->partition == NULL)
            continue;
        p.device = device_index(store, device->row);
        p.start_ns = store_clock_rebase(p.start_ns, &store->clock.clock, clock);
        p.end_ns = store_clock_rebase(p.end_ns, &store->clock.clock, clock);
        code = sink->partition(sink->context, &p, device->key, device->name, device->memory_bytes);
    }
    return rows_end(&row, code);
}

static const struct {
    enum event_kind kind;
    const char *word;
} ends[] = {{EVENT_EXPIRED, "expired"},
            {EVENT_RELEASED, "released"},
            {EVENT_REVOKED, "revoked"},
            {EVENT_CLOSED, "closed"}};

static enum event_kind column_how(struct row *row, int column)
{
    char word[16];
    column_line(row, column, 1, word, sizeof(word));
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (strcmp(word, ends[i].word) == 0)
            return ends[i].kind;
    }
    if (row->bad == NULL)
        row->bad = "how";
    return EVENT_EXPIRED;
}

const char *sqlite_how(enum event_kind kind)
{
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i].kind == kind)
            return ends[i].word;
    }
    return NULL;
}

static int history_row(struct row *row, const struct store_clock *clock,
                       const struct store_sink *sink)
{
    struct store_history entry = {0};
    struct partition *p = &entry.partition;
    p->change_seq = (uint64_t)column_key(row, 0, 1, row->store->head.seq);
    const struct device_row *device = column_device(row, 1);
    column_common(row, 2, p);
    p->id = (uint64_t)column_int(row, 2 + COMMON_COLUMNS, 1, (int64_t)row->store->head.next_id - 1);
    entry.start_wall_ns = column_int(row, 3 + COMMON_COLUMNS, -STORE_TIME_MAX, STORE_TIME_MAX);
    entry.end_wall_ns = column_int(row, 4 + COMMON_COLUMNS, -STORE_TIME_MAX, STORE_TIME_MAX);
    entry.how = column_how(row, 5 + COMMON_COLUMNS);
    entry.by_uid = column_u32(row, 6 + COMMON_COLUMNS, UINT32_MAX);
    int code = row_judge(row);
    if (code < 0)
        return code;
    memcpy(entry.device_key, device->key, sizeof(entry.device_key));
    memcpy(entry.device_name, device->name, sizeof(entry.device_name));
    entry.device_bytes = device->memory_bytes;
    p->device = device_index(row->store, device->row);
    p->start_ns = entry.start_wall_ns - clock->offset_ns;
    p->end_ns = entry.end_wall_ns - clock->offset_ns;
    return sink->history(sink->context, &entry);
}

static int load_history(struct sqlite_store *store, const struct store_clock *clock,
                        const struct store_sink *sink, char *message, size_t size)
{
    int code = 0;
    if (sink->history == NULL || sink->max_history == 0)
        return 0;
    struct row row =
        rows_begin(store, "history",
                   BY_FORMAT(store, "SELECT seq, device, ",
                             ", id, start_wall_ns, end_wall_ns, how, by_uid FROM history"
                             " WHERE seq > coalesce((SELECT seq FROM history ORDER BY seq DESC"
                             " LIMIT 1 OFFSET ?), -1) ORDER BY seq"),
                   message, size);
    if (row.rc == SQLITE_OK)
        row.rc = sqlite3_bind_int64(row.statement, 1,
                                    sink->max_history < INT64_MAX ? (int64_t)sink->max_history
                                                                  : INT64_MAX);
    while (code == 0 && rows_next(&row))
        code = history_row(&row, clock, sink);
    return rows_end(&row, code);
}

static int load_lines(struct sqlite_store *store, const struct store_sink *sink, char *message,
                      size_t size)
{
    char line[STORE_LINE_MAX];
    int code = 0;
    struct row row = rows_begin(store, "log",
                                "SELECT seq, line FROM log WHERE line IS NOT NULL AND seq >= ?"
                                " ORDER BY seq",
                                message, size);
    if (row.rc == SQLITE_OK)
        row.rc = sqlite3_bind_int64(row.statement, 1, store->head.first_seq);
    while (code == 0 && rows_next(&row)) {
        int64_t seq = column_key(&row, 0, 1, store->head.seq);
        column_line(&row, 1, 1, line, sizeof(line));
        code = row_judge(&row);
        if (code == 0 && sink->line != NULL)
            code = sink->line(sink->context, (uint64_t)seq, line);
    }
    return rows_end(&row, code);
}

static int load_replies(struct sqlite_store *store, const struct store_sink *sink, char *message,
                        size_t size)
{
    int code = 0;
    struct row row = rows_begin(
        store, "log", "SELECT seq, head_replies FROM log ORDER BY seq DESC LIMIT 1", message, size);
    while (code == 0 && rows_next(&row)) {
        int type = sqlite3_column_type(row.statement, 1);
        const unsigned char *blob = sqlite3_column_blob(row.statement, 1);
        size_t length = (size_t)sqlite3_column_bytes(row.statement, 1);
        if ((type != SQLITE_BLOB && type != SQLITE_NULL) || length % 16 != 0 ||
            (length > 0 && blob == NULL))
            row.bad = "head_replies";
        code = row_judge(&row);
        for (size_t i = 0; code == 0 && sink->reply != NULL && i < length; i += 16) {
            uint64_t pair[2];
            memcpy(pair, blob + i, sizeof(pair));
            struct store_reply reply = {le64toh(pair[0]), le64toh(pair[1])};
            code = sink->reply(sink->context, &reply);
        }
    }
    return rows_end(&row, code);
}

int sqlite_load(struct store *base, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, char *message, size_t size)
{
    struct sqlite_store *store = (struct sqlite_store *)base;

    int rc = sqlite_read_head(store, message, size);
    if (rc == 0)
        rc = sqlite_read_devices(store, message, size);
    if (rc == 0)
        rc = load_settings(store, sink, message, size);
    if (rc == 0)
        rc = load_partitions(store, clock, sink, message, size);
    if (rc == 0)
        rc = load_history(store, clock, sink, message, size);
    if (rc == 0)
        rc = load_lines(store, sink, message, size);
    if (rc == 0)
        rc = load_replies(store, sink, message, size);
    if (rc != 0)
        return rc;
    store->loaded = *clock;
    /* From here on the file is one that we go on with. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite_wal_begin(store);
    *ret_counters = (struct store_counters){.next_id = store->head.next_id,
                                            .next_seq = (uint64_t)store->head.seq + 1,
                                            .mount_id = store->clock.mount_id};
    return 0;
}
