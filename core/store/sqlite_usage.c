/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What accounts and groups have used: a row of the table `setting` for each, with the key
 * usage/user/UID or usage/group/GID, and one for the beginning of time, usage/origin, which moves
 * with the clock of partitions, once there are others. It must not know what the numbers mean.
 */
#include "sqlite_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX   48
#define VALUE_MAX 224
#define ORIGIN    "usage/origin"

static void make_key(char key[KEY_MAX], const struct usage_record *record)
{
    snprintf(key, KEY_MAX, "usage/%s/%" PRIu32, record->group ? "group" : "user", record->id);
}

/* A number of 128 bits as two: the high half is signed. */
static int64_t high(wide number)
{
    return (int64_t)(number >> 64);
}

static uint64_t low(wide number)
{
    return (uint64_t)number;
}

static wide join(int64_t high, uint64_t low)
{
    return (wide)((uwide)(wide)high << 64 | low);
}

static void make_value(char value[VALUE_MAX], const struct usage_record *record)
{
    snprintf(value, VALUE_MAX,
             "%" PRId64 " %" PRId64 ":%" PRIu64 " %" PRId64 " %" PRId64 ":%" PRIu64 " %" PRId64
             " %" PRId64 ":%" PRIu64,
             record->epoch, high(record->booked), low(record->booked), record->day.window,
             high(record->day.ppm_ns), low(record->day.ppm_ns), record->week.window,
             high(record->week.ppm_ns), low(record->week.ppm_ns));
}

int sqlite_usage_put(struct sqlite_store *store, const struct engine_event *event)
{
    int r = SQLITE_OK;
    for (uint32_t i = 0; r == SQLITE_OK && i < event->usage_count; i++) {
        const struct usage_record *after = &event->usage[i].after;
        enum statement which = usage_record_is_set(after) ? SQL_SETTING_PUT : SQL_SETTING_DELETE;
        char key[KEY_MAX], value[VALUE_MAX];
        make_key(key, after);
        make_value(value, after);
        sqlite3_bind_text(store->statements[which], 1, key, -1, SQLITE_STATIC);
        if (which == SQL_SETTING_PUT)
            sqlite3_bind_text(store->statements[which], 2, value, -1, SQLITE_STATIC);
        r = sqlite_run(store, which);
    }
    return r;
}

int sqlite_usage_rebase(struct sqlite_store *store)
{
    sqlite3_stmt *statement = store->statements[SQL_USAGE_REBASE];
    sqlite3_bind_text(statement, 1, ORIGIN, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, store->shift_ns);
    return sqlite_run(store, SQL_USAGE_REBASE);
}

/* Parse a row; false if it is not what was written. */
static bool read_record(const char *key, const char *value, struct usage_record *ret_record)
{
    struct usage_record record = {.group = strncmp(key, "usage/group/", 12) == 0};
    char again_key[KEY_MAX], again_value[VALUE_MAX];
    int64_t booked, day, week;
    uint64_t booked_low, day_low, week_low;
    if (sscanf(key, record.group ? "usage/group/%10" SCNu32 : "usage/user/%10" SCNu32,
               &record.id) != 1 ||
        sscanf(value,
               "%20" SCNd64 " %20" SCNd64 ":%20" SCNu64 " %20" SCNd64 " %20" SCNd64 ":%20" SCNu64
               " %20" SCNd64 " %20" SCNd64 ":%20" SCNu64,
               &record.epoch, &booked, &booked_low, &record.day.window, &day, &day_low,
               &record.week.window, &week, &week_low) != 9)
        return false;
    record.booked = join(booked, booked_low);
    record.day.ppm_ns = join(day, day_low);
    record.week.ppm_ns = join(week, week_low);
    make_key(again_key, &record);
    make_value(again_value, &record);
    *ret_record = record;
    return strcmp(key, again_key) == 0 && strcmp(value, again_value) == 0 &&
           store_record_fits(&record);
}

static bool read_origin(const char *value, int64_t *ret_origin_ns)
{
    char again[32];
    int64_t origin_ns;
    if (sscanf(value, "%20" SCNd64, &origin_ns) != 1)
        return false;
    snprintf(again, sizeof(again), "%" PRId64, origin_ns);
    *ret_origin_ns = origin_ns;
    return strcmp(value, again) == 0 && origin_ns >= -STORE_TIME_MAX && origin_ns <= STORE_TIME_MAX;
}

int sqlite_usage_load(struct sqlite_store *store, const struct store_sink *sink,
                      struct message *message)
{
    char key[KEY_MAX], value[VALUE_MAX], last[KEY_MAX] = "";
    int64_t origin_ns = 0;
    int code = 0;
    struct sqlite_row row = sqlite_rows_begin(
        store, "setting", "SELECT key, value FROM setting WHERE " SQLITE_IS_USAGE " ORDER BY key",
        message);
    while (!code && sqlite_rows_next(&row)) {
        struct usage_record record = {.group = false};
        sqlite_row_line(&row, 0, 1, key, sizeof(key));
        sqlite_row_line(&row, 1, 1, value, sizeof(value));
        bool origin = !row.bad && strcmp(key, ORIGIN) == 0;
        if (!row.bad && strcmp(key, last) <= 0)
            row.bad = "key";
        if (!row.bad &&
            !(origin ? read_origin(value, &origin_ns) : read_record(key, value, &record)))
            row.bad = "value";
        memcpy(last, key, sizeof(last));
        code = sqlite_row_check(&row);
        if (!code && !origin && sink->usage)
            code = sink->usage(sink->context, &record);
    }
    code = sqlite_rows_end(&row, code);
    if (!code && sink->origin)
        code =
            sink->origin(sink->context, last[0] ? store_clock_move(origin_ns, store->shift_ns) : 0);
    return code;
}
