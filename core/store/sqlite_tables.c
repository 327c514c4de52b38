/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file's tables, in their order: to make them, to compare a file with them, and to bring one of
 * the format before up to date. It must not know the columns of partitions (sqlite_schema.c).
 */
#include "sqlite_internal.h"

#include <stdio.h>
#include <string.h>

/* log.head_* are NULL except in the last row of a batch, and only the newest row counts. They have
 * no table of their own because each table that a commit touches is another page to sync. */
static const struct {
    const char *table, *sql;
    enum sqlite_table columns; /* if sql is NULL */
} tables[] = {
    {"device",
     "CREATE TABLE device(row INTEGER PRIMARY KEY, key TEXT NOT NULL, name TEXT NOT NULL,"
     " memory_bytes INTEGER NOT NULL) STRICT",
     0},
    {"partition", NULL, SQLITE_PARTITION},
    {"history", NULL, SQLITE_HISTORY},
    {"log",
     "CREATE TABLE log(seq INTEGER PRIMARY KEY, line TEXT, head_next_id INTEGER,"
     " head_first_seq INTEGER, head_replies BLOB, head_seen_ns INTEGER) STRICT",
     0},
    {"setting",
     "CREATE TABLE setting(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID", 0},
    {"clock",
     "CREATE TABLE clock(one INTEGER PRIMARY KEY, boot_id TEXT NOT NULL,"
     " offset_ns INTEGER NOT NULL, mount_id INTEGER NOT NULL) STRICT",
     0},
    {"waiting", NULL, SQLITE_WAITING}, /* not in the first format; nothing follows it */
};
#define TABLE_COUNT (ARRAY_COUNT(tables))

static size_t table_count(int format)
{
    return format == STATE_FIRST ? TABLE_COUNT - 1 : TABLE_COUNT;
}

static const char first_rows[] = "INSERT INTO log VALUES(0, NULL, 1, 0, NULL, 0);"
                                 "INSERT INTO clock VALUES(1, '', 0, 0);";

static char *table_sql(size_t index, int format)
{
    return tables[index].sql ? sqlite3_mprintf("%s", tables[index].sql)
                             : sqlite_schema_create(tables[index].columns, format);
}

int sqlite_tables_make(sqlite3 *db)
{
    int r = SQLITE_OK;
    for (size_t i = 0; r == SQLITE_OK && i < TABLE_COUNT; i++) {
        char *sql = table_sql(i, STATE_FORMAT);
        r = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
        sqlite3_free(sql);
    }
    return r == SQLITE_OK ? sqlite3_exec(db, first_rows, NULL, NULL, NULL) : r;
}

static int compare_table(sqlite3_stmt *statement, size_t index, int format)
{
    const char *name = (const char *)sqlite3_column_text(statement, 0);
    const char *sql = (const char *)sqlite3_column_text(statement, 1);
    if (index == table_count(format) || !name || !sql || strcmp(name, tables[index].table) != 0)
        return SQLITE_CORRUPT;
    char *wanted = table_sql(index, format);
    int r = !wanted ? SQLITE_NOMEM : strcmp(sql, wanted) != 0 ? SQLITE_CORRUPT : SQLITE_OK;
    sqlite3_free(wanted);
    return r;
}

int sqlite_tables_compare(sqlite3 *db, int format)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    int r = sqlite3_prepare_v2(db, "SELECT name, sql FROM sqlite_schema ORDER BY rowid", -1,
                               &statement, NULL);
    while (r == SQLITE_OK && (r = sqlite3_step(statement)) == SQLITE_ROW)
        r = compare_table(statement, count++, format);
    sqlite3_finalize(statement);
    if (r == SQLITE_DONE)
        r = count == table_count(format) ? SQLITE_OK : SQLITE_CORRUPT;
    return r;
}

int sqlite_tables_upgrade(sqlite3 *db, int format)
{
    char text[64];
    snprintf(text, sizeof(text), "PRAGMA user_version=%d; COMMIT", STATE_FORMAT);
    int r = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (r == SQLITE_OK)
        r = sqlite_schema_add_columns(db, SQLITE_PARTITION, format);
    if (r == SQLITE_OK)
        r = sqlite_schema_add_columns(db, SQLITE_HISTORY, format);
    char *sql = table_sql(TABLE_COUNT - 1, STATE_FORMAT);
    if (r == SQLITE_OK && format == STATE_FIRST)
        r = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    if (r == SQLITE_OK)
        r = sqlite3_exec(db, text, NULL, NULL, NULL);
    if (r != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}
