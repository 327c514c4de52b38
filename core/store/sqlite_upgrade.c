/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state file of an older format becomes one of the present: in place, in one
 * transaction, right before the first write. Until then it is read as it is, so that
 * a file that is refused, or only looked at, is never changed. It must not know what
 * the tables mean.
 */
#include "sqlite_internal.h"

#include <stdio.h>

static int change_tables(sqlite3 *db)
{
    char text[64];
    int rc = SQLITE_OK;

    for (const char *const *sql = sqlite_upgrade_1; rc == SQLITE_OK && *sql != NULL; sql++)
        rc = sqlite3_exec(db, *sql, NULL, NULL, NULL);
    /* What the next start would refuse must not be written by this one. */
    if (rc == SQLITE_OK)
        rc = sqlite_compare_schema(db, STATE_FORMAT);
    snprintf(text, sizeof(text), "PRAGMA user_version=%d", STATE_FORMAT);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, text, NULL, NULL, NULL);
    return rc;
}

int sqlite_upgrade(struct sqlite_store *store)
{
    if (store->format == STATE_FORMAT)
        return SQLITE_OK;
    int rc = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = change_tables(store->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        store->format = STATE_FORMAT;
    else if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}
