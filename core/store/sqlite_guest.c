/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guests of partitions: a row of the table `setting` for each, with the key guest/ID/UID, so
 * that a program from before there were guests reads the file, too. It must not know when they come
 * and go.
 */
#include "sqlite_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 48

static void make_key(char key[KEY_MAX], uint64_t id, uint32_t uid)
{
    snprintf(key, KEY_MAX, "guest/%" PRIu64 "/%" PRIu32, id, uid);
}

static int run(struct sqlite_store *store, enum statement which, const char *key, const char *value)
{
    sqlite3_bind_text(store->statements[which], 1, key, -1, SQLITE_STATIC);
    if (value)
        sqlite3_bind_text(store->statements[which], 2, value, -1, SQLITE_STATIC);
    return sqlite_run(store, which);
}

int sqlite_guest_put(struct sqlite_store *store, const struct engine_event *event)
{
    char key[KEY_MAX];
    make_key(key, event->after.id, event->guest);
    bool in = event->kind == EVENT_SHARED;
    int r = run(store, in ? SQL_GUEST_INSERT : SQL_SETTING_DELETE, key, NULL);
    return r == SQLITE_OK && sqlite3_changes(store->db) != 1 ? SQLITE_CONSTRAINT : r;
}

int sqlite_guest_forget(struct sqlite_store *store, uint64_t id)
{
    char from[KEY_MAX], until[KEY_MAX];
    snprintf(from, sizeof(from), "guest/%" PRIu64 "/", id);
    snprintf(until, sizeof(until), "guest/%" PRIu64 "0", id); /* '0' follows '/' */
    return run(store, SQL_GUEST_FORGET, from, until);
}

static bool read_key(const char *key, uint64_t *ret_id, uint32_t *ret_uid)
{
    char again[KEY_MAX];
    uint64_t id;
    uint32_t uid;
    if (sscanf(key, "guest/%20" SCNu64 "/%10" SCNu32, &id, &uid) != 2)
        return false;
    make_key(again, id, uid);
    *ret_id = id;
    *ret_uid = uid;
    return strcmp(key, again) == 0 && id > 0 && uid != ENGINE_UID_NONE;
}

int sqlite_guest_load(struct sqlite_store *store, const struct store_sink *sink,
                      struct message *message)
{
    char key[KEY_MAX], value[4], last[KEY_MAX] = "";
    uint64_t last_id = 0;
    uint32_t count = 0; /* of the partition last_id */
    int code = 0;
    struct sqlite_row row = sqlite_rows_begin(
        store, "setting", "SELECT key, value FROM setting WHERE " SQLITE_IS_GUEST " ORDER BY key",
        message);
    while (!code && sqlite_rows_next(&row)) {
        uint64_t id = 0;
        uint32_t uid = 0;
        sqlite_row_line(&row, 0, 1, key, sizeof(key));
        sqlite_row_line(&row, 1, 1, value, sizeof(value));
        if (!row.bad && (!read_key(key, &id, &uid) || strcmp(key, last) <= 0))
            row.bad = "key";
        count = id == last_id ? count + 1 : 1;
        if (!row.bad && count > GUESTS_MAX)
            row.bad = "key";
        memcpy(last, key, sizeof(last));
        last_id = id;
        code = sqlite_row_check(&row);
        if (!code && sink->guest)
            code = sink->guest(sink->context, id, uid);
    }
    return sqlite_rows_end(&row, code);
}
