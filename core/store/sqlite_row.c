/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading rows. A valid file can hold impossible values (edited by hand, damaged), so each value is
 * checked. It must not know what the tables mean.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int64_t sqlite_row_int(struct sqlite_row *row, int column, int64_t min, int64_t max)
{
    int64_t value = sqlite3_column_int64(row->statement, column);
    if (!row->bad && (sqlite3_column_type(row->statement, column) != SQLITE_INTEGER ||
                      value < min || value > max))
        row->bad = sqlite3_column_name(row->statement, column);
    return value;
}

int64_t sqlite_row_key(struct sqlite_row *row, int column, int64_t min, int64_t max)
{
    row->last = sqlite_row_int(row, column, min > row->last ? min : row->last + 1, max);
    return row->last;
}

void sqlite_row_line(struct sqlite_row *row, int column, size_t min, char *ret, size_t size)
{
    ret[0] = '\0';
    bool good = sqlite3_column_type(row->statement, column) == SQLITE_TEXT;
    const char *text = good ? (const char *)sqlite3_column_text(row->statement, column) : NULL;
    size_t length = text ? (size_t)sqlite3_column_bytes(row->statement, column) : 0;
    good = text && strlen(text) == length && line_fits(text, min, size);
    if (good)
        memcpy(ret, text, length + 1);
    else if (!row->bad)
        row->bad = sqlite3_column_name(row->statement, column);
}

struct sqlite_blob sqlite_row_blob(struct sqlite_row *row, int column, int each, int64_t max)
{
    struct sqlite_blob blob = {.at = sqlite3_column_blob(row->statement, column),
                               .bytes = sqlite3_column_bytes(row->statement, column)};
    if (sqlite3_column_type(row->statement, column) == SQLITE_BLOB && blob.bytes <= max &&
        blob.bytes % each == 0 && (blob.at || blob.bytes == 0))
        return blob;
    if (!row->bad)
        row->bad = sqlite3_column_name(row->statement, column);
    return (struct sqlite_blob){0};
}

struct sqlite_row sqlite_rows_begin(struct sqlite_store *store, const char *table, const char *sql,
                                    struct message *message)
{
    struct sqlite_row row = {.store = store, .table = table, .last = -1, .message = message};
    row.r = sql ? sqlite3_prepare_v2(store->db, sql, -1, &row.statement, NULL) : SQLITE_NOMEM;
    return row;
}

bool sqlite_rows_next(struct sqlite_row *row)
{
    if (row->r == SQLITE_OK)
        row->r = sqlite3_step(row->statement);
    if (row->r != SQLITE_ROW)
        return false;
    row->r = SQLITE_OK;
    return true;
}

int sqlite_row_check(struct sqlite_row *row)
{
    if (!row->bad)
        return 0;
    const char *key = (const char *)sqlite3_column_text(row->statement, 0);
    return message_set(-EBADMSG, row->message,
                       "%s/" STATE_FILE
                       " is damaged: %s has an impossible value in row %.80s of table %s. "
                       "Nothing was changed: restore a backup, or correct the row.",
                       row->store->directory, row->bad, key ? key : "NULL", row->table);
}

int sqlite_rows_end(struct sqlite_row *row, int code)
{
    if (!code && row->r != SQLITE_DONE) {
        char what[128];
        snprintf(what, sizeof(what), "Table %s of the state cannot be read", row->table);
        code = sqlite_message(row->message, what, row->store->db, row->r);
    }
    sqlite3_finalize(row->statement);
    return code;
}
