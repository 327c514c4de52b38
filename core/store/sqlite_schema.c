/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables. The columns of `partition` and `history` are listed here once: CREATE, INSERT,
 * UPDATE, SELECT, binding and reading are all generated from the list, so a new column is one new
 * row. It must not know when anything is read or written.
 */
#include "sqlite_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum column_kind {
    COLUMN_BOOL,
    COLUMN_U32,
    COLUMN_I32,
    COLUMN_U64,
    COLUMN_I64,
    COLUMN_TEXT,
    COLUMN_BLOB
};

/* A column: its tables (enum sqlite_table, as bits), its member of struct sqlite_record, and the
 * range that commit and load accept; for a text, the range of its length; for a blob, what its
 * length is a multiple of, and the greatest length. */
struct column {
    const char *name;
    enum column_kind kind;
    size_t offset;
    unsigned tables;
    int64_t min, max;
};

#define LIVE       SQLITE_PARTITION
#define ENDED      SQLITE_HISTORY
#define BOTH       (LIVE | ENDED)
#define USAGE      4u  /* changed only by SQL_PARTITION_USAGE */
#define ADDED      8u  /* not in the first format: 0 or empty there */
#define NEWER      32u /* not in the second one either */
#define WAITS      SQLITE_WAITING
#define IN(member) offsetof(struct sqlite_record, member)
#define KIND_OF(field)                                                                             \
    _Generic(((struct partition *)0)->field, uint32_t: COLUMN_U32, int32_t: COLUMN_I32,            \
             uint64_t: COLUMN_U64, int64_t: COLUMN_I64, char *: COLUMN_TEXT)
#define TIME -STORE_TIME_MAX, STORE_TIME_MAX
#define ANY  INT64_MIN, INT64_MAX
#define SET  SQLITE_DEVICE_BYTES, STATE_DEVICES_MAX *SQLITE_DEVICE_BYTES

/* Attributes of partitions come from partition.def; these are the other columns. The first one of a
 * table is its key. A U64 column of range ANY is stored as the signed number with the same bits. */
static const struct column columns[] = {
    {"seq", COLUMN_U64, IN(p.change_seq), ENDED, 1, INT64_MAX - 1},
    {"id", COLUMN_U64, IN(p.id), BOTH | WAITS, 1, INT64_MAX - 1},
    {"device", COLUMN_I64, IN(device), BOTH, 1, INT64_MAX - 1},
    {"uid", COLUMN_U32, IN(p.uid), BOTH, 0, UINT32_MAX},
    {"gid", COLUMN_U32, IN(p.gid), BOTH, 0, UINT32_MAX},
    {"mode", COLUMN_U32, IN(p.mode), BOTH, 0, 07777},
    {"memory_bytes", COLUMN_U64, IN(p.shares[0].memory_bytes), BOTH, 1, INT64_MAX},
    {"compute_ppm", COLUMN_U32, IN(p.shares[0].compute_ppm), BOTH, 0, 1000000},
    {"start_ns", COLUMN_I64, IN(p.start_ns), LIVE, TIME},
    {"end_ns", COLUMN_I64, IN(p.end_ns), LIVE, TIME},
    {"start_wall_ns", COLUMN_I64, IN(p.start_ns), ENDED, TIME},
    {"end_wall_ns", COLUMN_I64, IN(p.end_ns), ENDED, TIME},
    {"peak_bytes", COLUMN_U64, IN(usage.peak_bytes), BOTH | USAGE, 0, INT64_MAX},
    {"gpu_ns", COLUMN_U64, IN(usage.gpu_ns), BOTH | USAGE, 0, INT64_MAX},
#define ATTRIBUTE(ID, name, key, json, doc, how, field, min, max, ...)                             \
    {#field, KIND_OF(field), IN(p.field), BOTH, min, max},
#include "core/engine/partition.def"
    {"warn_ns", COLUMN_I64, IN(p.warn.ns), BOTH, 0, DURATION_MAX_NS},
    {"warn_signal", COLUMN_U32, IN(p.warn.signal), BOTH, 0, INT32_MAX},
    {"hold", COLUMN_U64, IN(p.hold), LIVE, ANY},
    {"creator_ns", COLUMN_U64, IN(p.creator_ns), BOTH, ANY},
    {"creator_uid", COLUMN_U32, IN(p.creator_uid), BOTH, 0, UINT32_MAX},
    {"creator_pid", COLUMN_I32, IN(p.creator_pid), BOTH, 0, INT32_MAX},
    {"change_seq", COLUMN_U64, IN(p.change_seq), LIVE, 0, INT64_MAX - 1},
    {"how", COLUMN_TEXT, IN(how), ENDED, 1, SQLITE_HOW_MAX},
    {"account", COLUMN_U32, IN(account), ENDED, 0, UINT32_MAX},
    {"by_uid", COLUMN_U32, IN(by_uid), ENDED, 0, UINT32_MAX},
    {"shares", COLUMN_BLOB, IN(shares), BOTH | ADDED, SQLITE_SHARE_BYTES,
     (SHARE_MAX - 1) * SQLITE_SHARE_BYTES},
    {"quota_group", COLUMN_U32, IN(p.quota_group), LIVE | ADDED, 0, UINT32_MAX},
    {"series", COLUMN_U64, IN(p.series), LIVE | ADDED, 0, INT64_MAX - 1},
    {"arrival", COLUMN_U32, IN(p.arrival), BOTH | ADDED | NEWER, 0, ARRIVAL_MISSED},
    {"suspend_stage", COLUMN_U32, IN(p.suspend_stage), LIVE | ADDED | NEWER, 0, SUSPEND_RETURNING},
    {"suspended_bytes", COLUMN_U64, IN(p.suspended_bytes), LIVE | ADDED | NEWER, 0, INT64_MAX},
    {"suspended_count", COLUMN_U32, IN(p.suspended_count), LIVE | ADDED | NEWER, 0, UINT32_MAX},
    {"promised_ns", COLUMN_I64, IN(waiting.promised_ns), WAITS, TIME},
    {"asked_ns", COLUMN_I64, IN(waiting.asked_ns), WAITS, TIME},
    {"give_up_ns", COLUMN_I64, IN(waiting.give_up_ns), WAITS, TIME},
    {"spared_ns", COLUMN_I64, IN(waiting.spared_ns), WAITS, TIME},
    /* Years are counted from 1970 here, and from the boot in all other times to come. */
    {"fixed_wall_ns", COLUMN_I64, IN(waiting.fixed_wall_ns), WAITS, ANY},
    {"fixed", COLUMN_BOOL, IN(waiting.fixed), WAITS, 0, 1},
    {"priority", COLUMN_U32, IN(waiting.priority), WAITS, 0, PRIORITIES - 1},
    {"is_share", COLUMN_BOOL, IN(waiting.amount.is_share), WAITS, 0, 1},
    {"digits", COLUMN_U64, IN(waiting.amount.digits), WAITS, 0, INT64_MAX},
    {"scale", COLUMN_U64, IN(waiting.amount.scale), WAITS, 0, INT64_MAX},
    {"amount_bytes", COLUMN_U64, IN(waiting.amount.bytes), WAITS, 0, INT64_MAX},
    {"anywhere", COLUMN_BOOL, IN(waiting.anywhere), WAITS, 0, 1},
    {"barred", COLUMN_BLOB, IN(barred), WAITS, SET},
    {"spread", COLUMN_BOOL, IN(waiting.spread), WAITS, 0, 1},
    {"preferred", COLUMN_BLOB, IN(preferred), WAITS, SET},
};

/* The next column of a table; NULL after the last. `column` NULL: the first one. */
static const struct column *next(enum sqlite_table table, const struct column *column)
{
    const struct column *end = columns + ARRAY_COUNT(columns);
    for (column = column ? column + 1 : columns; column < end; column++)
        if (column->tables & (unsigned)table)
            return column;
    return NULL;
}

/* -- statements ---------------------------------------------------------------- */

static const char *name_of(enum sqlite_table table)
{
    return table == SQLITE_PARTITION ? "partition"
           : table == SQLITE_HISTORY ? "history"
                                     : "waiting";
}

static bool has(int format, const struct column *column)
{
    unsigned missing = format == STATE_FIRST ? ADDED : format == STATE_SECOND ? NEWER : 0;
    return !(column->tables & missing);
}

static const char *empty(const struct column *column)
{
    return column->kind == COLUMN_BLOB ? "x''" : "0";
}

static void define(sqlite3_str *sql, const struct column *column)
{
    sqlite3_str_appendf(sql, "%s %s NOT NULL", column->name,
                        column->kind == COLUMN_TEXT   ? "TEXT"
                        : column->kind == COLUMN_BLOB ? "BLOB"
                                                      : "INTEGER");
    if (column->tables & ADDED)
        sqlite3_str_appendf(sql, " DEFAULT %s", empty(column));
}

char *sqlite_schema_create(enum sqlite_table table, int format)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    const struct column *first = next(table, NULL);
    sqlite3_str_appendf(sql, "CREATE TABLE %s(%s INTEGER PRIMARY KEY", name_of(table), first->name);
    for (const struct column *c = first; (c = next(table, c));) {
        if (!has(format, c))
            continue;
        sqlite3_str_appendall(sql, ", ");
        define(sql, c);
    }
    sqlite3_str_appendall(sql, ") STRICT");
    return sqlite3_str_finish(sql);
}

char *sqlite_schema_insert(enum sqlite_table table)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "INSERT %sINTO %s VALUES(?1",
                        table == SQLITE_WAITING ? "OR REPLACE " : "", name_of(table));
    int number = 1;
    for (const struct column *c = next(table, NULL); (c = next(table, c));)
        sqlite3_str_appendf(sql, ", ?%d", ++number);
    sqlite3_str_appendall(sql, ")");
    return sqlite3_str_finish(sql);
}

char *sqlite_schema_update(enum sqlite_table table)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    const struct column *first = next(table, NULL);
    const char *before = " SET ";
    int number = 1;
    sqlite3_str_appendf(sql, "UPDATE %s", name_of(table));
    for (const struct column *c = first; (c = next(table, c));) {
        number++;
        if (c->tables & USAGE)
            continue;
        sqlite3_str_appendf(sql, "%s%s=?%d", before, c->name, number);
        before = ", ";
    }
    sqlite3_str_appendf(sql, " WHERE %s=?1", first->name);
    return sqlite3_str_finish(sql);
}

char *sqlite_schema_select(enum sqlite_table table, int format, const char *tail)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    const struct column *first = next(table, NULL);
    sqlite3_str_appendf(sql, "SELECT %s", first->name);
    for (const struct column *c = first; (c = next(table, c));)
        sqlite3_str_appendf(sql, ", %s", has(format, c) ? c->name : empty(c));
    sqlite3_str_appendf(sql, " FROM %s %s", name_of(table), tail);
    return sqlite3_str_finish(sql);
}

/* -- values ---------------------------------------------------------------------- */

/* The number in a column of numbers. A U64 above INT64_MAX is negative, so it is outside of
 * every range but ANY. */
static int64_t number_in(const struct column *column, const struct sqlite_record *record)
{
    const void *at = (const char *)record + column->offset;
    switch (column->kind) {
    case COLUMN_U32:
        return *(const uint32_t *)at;
    case COLUMN_I32:
        return *(const int32_t *)at;
    case COLUMN_U64:
        return (int64_t) * (const uint64_t *)at;
    case COLUMN_I64:
        return *(const int64_t *)at;
    case COLUMN_BOOL:
        return *(const bool *)at;
    default:
        return 0;
    }
}

static bool column_fits(const struct column *c, const struct sqlite_record *record)
{
    const void *at = (const char *)record + c->offset;
    int64_t number = number_in(c, record);
    if (c->kind == COLUMN_TEXT)
        return line_fits(at, (size_t)c->min, (size_t)c->max + 1);
    if (c->kind == COLUMN_BLOB)
        return ((const struct sqlite_blob *)at)->bytes <= c->max;
    return number >= c->min && number <= c->max;
}

bool sqlite_schema_fits(enum sqlite_table table, const struct sqlite_record *record)
{
    bool fits = true;
    for (const struct column *c = NULL; fits && (c = next(table, c));)
        fits = column_fits(c, record);
    return fits;
}

void sqlite_schema_bind(sqlite3_stmt *statement, enum sqlite_table table,
                        const struct sqlite_record *record)
{
    int number = 0;
    for (const struct column *c = NULL; (c = next(table, c));) {
        const void *at = (const char *)record + c->offset;
        const struct sqlite_blob *blob = at;
        number++;
        if (c->kind == COLUMN_TEXT)
            sqlite3_bind_text(statement, number, at, -1, SQLITE_STATIC);
        else if (c->kind == COLUMN_BLOB)
            sqlite3_bind_blob(statement, number, blob->bytes ? blob->at : "", blob->bytes,
                              SQLITE_STATIC);
        else
            sqlite3_bind_int64(statement, number, number_in(c, record));
    }
}

void sqlite_schema_read(struct sqlite_row *row, enum sqlite_table table,
                        struct sqlite_record *ret_record)
{
    int number = 0;
    for (const struct column *c = NULL; (c = next(table, c)); number++) {
        void *at = (char *)ret_record + c->offset;
        if (c->kind == COLUMN_TEXT) {
            sqlite_row_line(row, number, (size_t)c->min, at, (size_t)c->max + 1);
            continue;
        }
        if (c->kind == COLUMN_BLOB) {
            *(struct sqlite_blob *)at = sqlite_row_blob(row, number, (int)c->min, c->max);
            continue;
        }
        int64_t value = number == 0 ? sqlite_row_key(row, number, c->min, c->max)
                                    : sqlite_row_int(row, number, c->min, c->max);
        switch (c->kind) {
        case COLUMN_BOOL:
            *(bool *)at = value != 0;
            break;
        case COLUMN_U32:
            *(uint32_t *)at = (uint32_t)value;
            break;
        case COLUMN_I32:
            *(int32_t *)at = (int32_t)value;
            break;
        case COLUMN_U64:
            *(uint64_t *)at = (uint64_t)value;
            break;
        default:
            *(int64_t *)at = value;
        }
    }
}

int sqlite_schema_add_columns(sqlite3 *db, enum sqlite_table table, int format)
{
    int r = SQLITE_OK;
    for (const struct column *c = NULL; r == SQLITE_OK && (c = next(table, c));) {
        if (has(format, c))
            continue;
        sqlite3_str *str = sqlite3_str_new(NULL);
        sqlite3_str_appendf(str, "ALTER TABLE %s ADD COLUMN ", name_of(table));
        define(str, c);
        char *sql = sqlite3_str_finish(str);
        r = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
        sqlite3_free(sql);
    }
    return r;
}
