/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements that write: their text, running one, and what to do if one fails. It must not know
 * when they are run.
 */
#include "sqlite_internal.h"

#include <stdio.h>

static const char *const statements[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_PARTITION_DELETE] = "DELETE FROM partition WHERE id=?1",
    [SQL_PARTITION_REBASE] = "UPDATE partition SET start_ns = max(start_ns + ?1, -?2),"
                             " end_ns = min(end_ns + ?1, ?2)",
    [SQL_WAITING_DELETE] = "DELETE FROM waiting WHERE id=?1",
    /* ?2 in give_up_ns: never */
    [SQL_WAITING_REBASE] =
        "UPDATE waiting SET promised_ns = max(min(promised_ns + ?1, ?2), -?2),"
        " asked_ns = max(min(asked_ns + ?1, ?2), -?2),"
        " spared_ns = max(min(spared_ns + ?1, ?2), -?2),"
        " give_up_ns = iif(give_up_ns < ?2, max(min(give_up_ns + ?1, ?2 - 1), -?2), ?2)",
    [SQL_PARTITION_NOTED] = "UPDATE partition SET change_seq=?2 WHERE id=?1",
    [SQL_PARTITION_USAGE] = "UPDATE partition SET peak_bytes=?2, gpu_ns=?3 WHERE id=?1",
    [SQL_HISTORY_DROP] = "DELETE FROM history WHERE end_wall_ns < ?1 AND seq IN"
                         " (SELECT seq FROM history ORDER BY seq LIMIT ?2)"
                         " RETURNING seq, account",
    [SQL_HISTORY_TRIM] = "DELETE FROM history WHERE seq IN (SELECT seq FROM history"
                         " WHERE seq >= ?1 AND account = ?2 ORDER BY seq LIMIT ?3)"
                         " RETURNING seq, account",
    [SQL_HISTORY_OLDEST] = "DELETE FROM history WHERE seq IN"
                           " (SELECT seq FROM history ORDER BY seq LIMIT ?1)"
                           " RETURNING seq, account",
    [SQL_HISTORY_COUNT] = "SELECT seq, account FROM history WHERE seq > ?1 AND seq <= ?2"
                          " ORDER BY seq LIMIT ?3",
    [SQL_LOG_INSERT] = "INSERT INTO log(seq, line, head_next_id, head_first_seq, head_replies,"
                       " head_seen_ns) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_LOG_HEAD] = "UPDATE log SET head_next_id=?2, head_first_seq=?3, head_replies=?4,"
                     " head_seen_ns=?5 WHERE seq=?1",
    [SQL_LOG_DROP] = "DELETE FROM log WHERE seq < ?1",
    [SQL_SETTING_PUT] = "INSERT INTO setting(key, value) VALUES(?1, ?2)"
                        " ON CONFLICT(key) DO UPDATE SET value = excluded.value",
    [SQL_SETTING_DELETE] = "DELETE FROM setting WHERE key=?1",
    [SQL_CLOCK_PUT] = "UPDATE clock SET boot_id=?1, offset_ns=?2, mount_id=?3 WHERE one=1",
    [SQL_DEVICE_PUT] = "INSERT INTO device(row, key, name, memory_bytes) VALUES(?1, ?2, ?3, ?4)"
                       " ON CONFLICT(row) DO UPDATE SET name=excluded.name,"
                       " memory_bytes=excluded.memory_bytes",
    [SQL_USAGE_REBASE] = "INSERT INTO setting(key, value) SELECT ?1, CAST(?2 AS TEXT)"
                         " WHERE EXISTS(SELECT 1 FROM setting WHERE " SQLITE_IS_USAGE ")"
                         " ON CONFLICT(key) DO UPDATE SET"
                         " value = CAST(CAST(value AS INTEGER) + ?2 AS TEXT)",
    [SQL_GUEST_INSERT] = "INSERT INTO setting(key, value) VALUES(?1, 'in')",
    [SQL_GUEST_FORGET] = "DELETE FROM setting WHERE key >= ?1 AND key < ?2",
};

/* Generate the statements that are not listed above from the list of columns. */
static char *statement_sql(enum statement which)
{
    switch (which) {
    case SQL_PARTITION_INSERT:
        return sqlite_schema_insert(SQLITE_PARTITION);
    case SQL_PARTITION_UPDATE:
        return sqlite_schema_update(SQLITE_PARTITION);
    case SQL_WAITING_PUT:
        return sqlite_schema_insert(SQLITE_WAITING);
    case SQL_HISTORY_INSERT:
        return sqlite_schema_insert(SQLITE_HISTORY);
    default:
        return sqlite3_mprintf("%s", statements[which]);
    }
}

int sqlite_prepare(struct sqlite_store *store)
{
    int r = SQLITE_OK;
    for (enum statement i = 0; r == SQLITE_OK && i < SQL_COUNT; i++) {
        if (store->statements[i])
            continue;
        char *sql = statement_sql(i);
        r = sql ? sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                     &store->statements[i], NULL)
                : SQLITE_NOMEM;
        sqlite3_free(sql);
    }
    return r;
}

int sqlite_run(struct sqlite_store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    int r = sqlite3_step(statement);
    int reset = sqlite3_reset(statement);
    if (r == SQLITE_DONE || r == SQLITE_ROW)
        r = reset;
    return r;
}

int sqlite_give_up(struct sqlite_store *store, int r, struct message *message)
{
    char what[PATH_MAX];
    snprintf(what, sizeof(what), "The state in %.*s cannot be written, so nothing was changed",
             PATH_MAX - 128, store->directory);
    int code = sqlite_message(message, what, store->db, r);
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_reset(store->statements[i]);
    if (!sqlite3_get_autocommit(store->db))
        sqlite_run(store, SQL_ROLLBACK);
    sqlite_wal_strike(store);
    return code;
}
