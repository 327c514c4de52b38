/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the state: one transaction per batch. The cost of a create is the pages it touches,
 * because each is a frame of the log to be synced: one of `partition` and one of `log`, which also
 * holds the replies and counters. It must not read what it has not written itself.
 */
#include "sqlite_internal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Run a statement that must change exactly one row. */
static int run_on_one(struct sqlite_store *store, enum statement which)
{
    int r = sqlite_run(store, which);
    return r == SQLITE_OK && sqlite3_changes(store->db) != 1 ? SQLITE_CONSTRAINT : r;
}

static void bind_int(sqlite3_stmt *statement, int index, int64_t value)
{
    sqlite3_bind_int64(statement, index, value);
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

/* -- one event ------------------------------------------------------------- */

static int put_record(struct sqlite_store *store, enum statement which, enum sqlite_table table,
                      const struct sqlite_record *record)
{
    if (!sqlite_schema_fits(table, record))
        return SQLITE_CONSTRAINT;
    sqlite_schema_bind(store->statements[which], table, record);
    return run_on_one(store, which);
}

static int put_end(struct sqlite_store *store, const struct engine_event *event,
                   struct sqlite_record *record, int64_t offset_ns)
{
    bind_int(store->statements[SQL_PARTITION_DELETE], 1, (int64_t)event->after.id);
    int r = run_on_one(store, SQL_PARTITION_DELETE);
    if (r == SQLITE_OK && event->guests)
        r = sqlite_guest_forget(store, event->after.id);
    if (r == SQLITE_OK)
        r = sqlite_waiting_put(store, event);
    if (r != SQLITE_OK)
        return r;
    record->p.start_ns = store_clock_move(record->p.start_ns, offset_ns);
    record->p.end_ns = store_clock_move(record->p.end_ns, offset_ns);
    record->p.change_seq = event->seq;
    record->by_uid = event->by_uid;
    snprintf(record->how, sizeof(record->how), "%s", sqlite_how(event->kind));
    return put_record(store, SQL_HISTORY_INSERT, SQLITE_HISTORY, record);
}

static int put_setting(struct sqlite_store *store, const struct engine_event *event)
{
    enum statement which = event->value[0] != '\0' ? SQL_SETTING_PUT : SQL_SETTING_DELETE;
    sqlite3_stmt *statement = store->statements[which];
    bind_text(statement, 1, event->key);
    if (which == SQL_SETTING_PUT)
        bind_text(statement, 2, event->value);
    return sqlite_run(store, which);
}

/* Store the change_seq of a partition; put_line stores the line. */
static int put_note(struct sqlite_store *store, const struct engine_event *event)
{
    sqlite3_stmt *statement = store->statements[SQL_PARTITION_NOTED];
    bind_int(statement, 1, (int64_t)event->after.id);
    bind_int(statement, 2, (int64_t)event->seq);
    return run_on_one(store, SQL_PARTITION_NOTED);
}

static int put_event(struct sqlite_store *store, const struct store_item *item, int64_t offset_ns)
{
    const struct engine_event *event = item->event;
    if (event->kind == EVENT_SETTING)
        return put_setting(store, event);
    if (event->kind == EVENT_NOTE)
        return store_note_moves(event) ? put_note(store, event) : SQLITE_OK;
    if (event->kind == EVENT_SHARED || event->kind == EVENT_UNSHARED) {
        int r = put_note(store, event);
        return r == SQLITE_OK ? sqlite_guest_put(store, event) : r;
    }
    uint64_t room[3 * SHARE_MAX];
    struct sqlite_record record = {.p = event->after,
                                   .account = item->account,
                                   .device = sqlite_place_row(store, event->after.shares[0].device),
                                   .usage = item->usage};
    if (record.device == 0 || sqlite_place_shares(store, &event->after, room, &record.shares))
        return SQLITE_CONSTRAINT;
    if (event_kind_is_end(event->kind))
        return put_end(store, event, &record, offset_ns);
    enum statement which =
        event->kind == EVENT_CREATED ? SQL_PARTITION_INSERT : SQL_PARTITION_UPDATE;
    int r = put_record(store, which, SQLITE_PARTITION, &record);
    return r == SQLITE_OK ? sqlite_waiting_put(store, event) : r;
}

/* -- one batch -------------------------------------------------------------- */

/* A batch being written, and the new values to keep once it is durable. */
struct writing {
    const struct store_batch *batch;
    struct head head;
    struct clock_row clock;
    uint64_t *replies; /* as stored, little-endian */
};

/* The first write after a reboot converts all times to the new clock, exactly as load() did: users
 * have seen those times. */
static int put_clock(struct sqlite_store *store, struct writing *writing)
{
    const struct store_batch *batch = writing->batch;
    int r = SQLITE_OK;
    writing->clock.clock.now_ns = batch->clock.now_ns;
    if (store->shift_ns != 0) {
        bind_int(store->statements[SQL_PARTITION_REBASE], 1, store->shift_ns);
        bind_int(store->statements[SQL_PARTITION_REBASE], 2, STORE_TIME_MAX);
        r = sqlite_run(store, SQL_PARTITION_REBASE);
        if (r == SQLITE_OK)
            r = sqlite_waiting_rebase(store);
        if (r == SQLITE_OK)
            r = sqlite_usage_rebase(store);
    }
    bool differs = store_clock_differs(&store->clock.clock, &batch->clock);
    if (!differs && batch->mount_id == store->clock.mount_id)
        return r;
    writing->clock.mount_id = batch->mount_id;
    if (differs)
        writing->clock.clock = batch->clock;
    sqlite3_stmt *statement = store->statements[SQL_CLOCK_PUT];
    bind_text(statement, 1, writing->clock.clock.boot_id);
    bind_int(statement, 2, writing->clock.clock.offset_ns);
    bind_int(statement, 3, (int64_t)writing->clock.mount_id);
    return r == SQLITE_OK ? run_on_one(store, SQL_CLOCK_PUT) : r;
}

static void bind_head(sqlite3_stmt *statement, int index, const struct writing *writing)
{
    size_t length = writing->batch->reply_count * sizeof(struct store_reply);
    bind_int(statement, index, (int64_t)writing->head.next_id);
    bind_int(statement, index + 1, writing->head.first_seq);
    if (length > 0)
        sqlite3_bind_blob64(statement, index + 2, writing->replies, length, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, index + 2);
    bind_int(statement, index + 3, writing->clock.clock.now_ns);
}

static int put_line(struct sqlite_store *store, const struct writing *writing,
                    const struct store_item *item, bool last)
{
    sqlite3_stmt *statement = store->statements[SQL_LOG_INSERT];
    bool silent = !item->line || item->line[0] == '\0';
    if (silent && !last)
        return SQLITE_OK;
    sqlite3_clear_bindings(statement);
    bind_int(statement, 1, (int64_t)item->event->seq);
    if (!silent)
        bind_text(statement, 2, item->line);
    if (last)
        bind_head(statement, 3, writing);
    return sqlite_run(store, SQL_LOG_INSERT);
}

static int put_items(struct sqlite_store *store, struct writing *writing)
{
    const struct store_batch *batch = writing->batch;
    int r = SQLITE_OK;

    for (size_t i = 0; r == SQLITE_OK && i < batch->item_count; i++) {
        const struct store_item *item = &batch->items[i];
        r = put_event(store, item, batch->clock.offset_ns);
        if (r == SQLITE_OK)
            r = sqlite_usage_put(store, item->event);
        if (r == SQLITE_OK)
            r = put_line(store, writing, item, i + 1 == batch->item_count);
    }
    if (batch->item_count == 0) {
        bind_int(store->statements[SQL_LOG_HEAD], 1, writing->head.seq);
        bind_head(store->statements[SQL_LOG_HEAD], 2, writing);
        r = run_on_one(store, SQL_LOG_HEAD);
    }
    return r;
}

static int put_usages(struct sqlite_store *store, const struct store_batch *batch)
{
    sqlite3_stmt *statement = store->statements[SQL_PARTITION_USAGE];
    int r = SQLITE_OK;
    for (size_t i = 0; r == SQLITE_OK && i < batch->usage_count; i++) {
        const struct store_partition_usage *used = &batch->usages[i];
        bind_int(statement, 1, (int64_t)used->id);
        bind_int(statement, 2, (int64_t)used->usage.peak_bytes);
        bind_int(statement, 3, (int64_t)used->usage.gpu_ns);
        r = sqlite_run(store, SQL_PARTITION_USAGE);
    }
    return r;
}

static int write_all(struct sqlite_store *store, struct writing *writing)
{
    int r = sqlite_run(store, SQL_BEGIN);
    if (r == SQLITE_OK)
        r = put_clock(store, writing);
    if (r == SQLITE_OK)
        r = put_items(store, writing);
    if (r == SQLITE_OK)
        r = put_usages(store, writing->batch);
    if (r == SQLITE_OK)
        r = sqlite_run(store, SQL_COMMIT);
    return r;
}

static int begin_writing(const struct sqlite_store *store, const struct store_batch *batch,
                         struct writing *writing)
{
    *writing = (struct writing){.batch = batch, .head = store->head, .clock = store->clock};
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct engine_event *event = batch->items[i].event;
        writing->head.seq = (int64_t)event->seq;
        if (event->kind != EVENT_NOTE && event->after.id >= writing->head.next_id)
            writing->head.next_id = event->after.id + 1;
    }
    if (batch->first_line_seq > (uint64_t)writing->head.first_seq)
        writing->head.first_seq =
            batch->first_line_seq < INT64_MAX ? (int64_t)batch->first_line_seq : INT64_MAX;
    if (batch->reply_count == 0)
        return 0;
    writing->replies = malloc(batch->reply_count * 2 * sizeof(uint64_t));
    if (!writing->replies)
        return -ENOMEM;
    for (size_t i = 0; i < batch->reply_count; i++) {
        writing->replies[2 * i] = htole64(batch->replies[i].unique);
        writing->replies[2 * i + 1] = htole64(batch->replies[i].result);
    }
    return 0;
}

static void keep_writing(struct sqlite_store *store, const struct writing *writing)
{
    store->head = writing->head;
    store->clock = writing->clock;
    store->shift_ns = 0;
}

int sqlite_commit(struct store *base, const struct store_batch *batch, struct message *message)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    struct writing writing;

    if (batch->item_count > 0 && (int64_t)batch->items[0].event->seq <= store->head.seq)
        return message_set(-EINVAL, message, "Event %llu is already stored.",
                           (unsigned long long)batch->items[0].event->seq);
    int code = sqlite_writable(store, message);
    if (!code)
        code = begin_writing(store, batch, &writing);
    if (code < 0)
        return code;
    int r = write_all(store, &writing);
    if (r == SQLITE_OK) {
        keep_writing(store, &writing);
        sqlite_prune(store, batch);
    } else
        code = sqlite_give_up(store, r, message);
    free(writing.replies);
    return code;
}
