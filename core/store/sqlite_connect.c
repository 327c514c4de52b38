/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the state file: its configuration, and checks that the file is ours. It must not
 * know what the tables mean.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int number_of(sqlite3 *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    if (r == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return r == SQLITE_ROW ? SQLITE_OK : r == SQLITE_DONE ? SQLITE_CORRUPT : r;
}

/* Accept only our own tables, literally: a trigger or view added by hand or by damage would run
 * with our writes. */
static int check_schema(struct sqlite_store *store, struct message *message)
{
    int r = sqlite_tables_compare(store->db, store->format);

    if (r == SQLITE_OK)
        return 0;
    if (r != SQLITE_CORRUPT && sqlite_errno(store->db, r) != -EBADMSG)
        return sqlite_message(message, "The state cannot be read", store->db, r);
    return sqlite_damaged(store, "its tables are not those of a state file", message);
}

int sqlite_check_pages(struct sqlite_store *store, struct message *message)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    const char *text = r == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    int code = 0;
    if (!text || strcmp(text, "ok") != 0)
        code = sqlite_damaged(store, text ? text : sqlite3_errmsg(store->db), message);
    sqlite3_finalize(statement);
    return code;
}

/* Repeat the check of sqlite_file_check(): the log can hold a newer first page. */
static int check_format(struct sqlite_store *store, struct message *message)
{
    int64_t application = 0, format = 0;
    int r = number_of(store->db, "PRAGMA application_id", &application);
    if (r == SQLITE_OK)
        r = number_of(store->db, "PRAGMA user_version", &format);
    if (r != SQLITE_OK) {
        char what[PATH_MAX];
        snprintf(what, sizeof(what), "%.*s/" STATE_FILE " cannot be opened", PATH_MAX - 64,
                 store->directory);
        return sqlite_message(message, what, store->db, r);
    }
    if (application != STATE_APPLICATION || format < 1)
        return sqlite_damaged(store, "its first page is not that of a state file", message);
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.*s/" STATE_FILE, PATH_MAX - 64, store->directory);
    store->format = (int)format;
    return sqlite_format(path, format, message);
}

/* NO_CKPT_ON_CLOSE stays on until load() has found the state valid, because closing a file that is
 * refused must not write to it. locking_mode=EXCLUSIVE refuses a second program at once, keeps
 * readers from delaying a checkpoint, and avoids a third file; sqlite_wal.c depends on it, too. The
 * price: sqlite3 cannot open the file while the daemon runs, but the tree shows everything in it.
 * No mmap: a failing disk would raise a signal. */
int sqlite_configure(sqlite3 *db)
{
    sqlite3_extended_result_codes(db, 1);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return sqlite3_exec(db,
                        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL;"
                        "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;",
                        NULL, NULL, NULL);
}

void sqlite_disconnect(struct sqlite_store *store)
{
    for (size_t i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    if (store->wal_fd >= 0)
        close(store->wal_fd);
    store->wal_fd = -1;
    sqlite3_close(store->db);
    store->db = NULL;
}

/* SQLite opens a file read-only if it cannot open it for writing, and does not report why. Ask the
 * kernel. */
static int why_read_only(const char *path, struct message *message)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int r = fd < 0 ? -errno : -EROFS;
    if (fd >= 0)
        close(fd);
    return message_set(r, message, "%.*s cannot be written, so nothing was changed: %s.",
                       PATH_MAX - 128, path, strerror(-r));
}

static int open_file(struct sqlite_store *store, const char *directory, struct message *message)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%.*s/" STATE_FILE, PATH_MAX - 64, directory);
    int r = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK && sqlite3_db_readonly(store->db, "main") == 1)
        return why_read_only(path, message);
    if (r == SQLITE_OK)
        r = sqlite_configure(store->db);
    if (r != SQLITE_OK)
        return sqlite_message(message, "The state cannot be opened", store->db, r);
    return check_format(store, message);
}

int sqlite_connect(struct sqlite_store *store, struct message *message)
{
    int r = open_file(store, store->directory, message);
    if (!r)
        r = check_schema(store, message);
    if (r < 0)
        sqlite_disconnect(store);
    return r;
}

/* Read a copy in memory if the file cannot be written (a read-only or full disk, another user's
 * directory), so that users still see their partitions. Commits try the file again. */
int sqlite_connect_copy(struct sqlite_store *store, struct message *message)
{
    char copy[PATH_MAX];
    struct message why;

    if (sqlite_copy(store->directory, copy) < 0)
        return -EROFS; /* keep the message of the first attempt */
    int r = open_file(store, copy, &why);
    if (!r)
        r = check_schema(store, &why);
    /* The files stay open without names. */
    if (!r)
        r = sqlite_read_head(store, &why);
    sqlite_copy_remove(copy);
    if (!r) {
        store->read_only = true;
        return 0;
    }
    *message = why;
    sqlite_disconnect(store);
    return r;
}

int sqlite_leave_copy(struct sqlite_store *store, struct message *message)
{
    struct sqlite_store fresh = *store;

    fresh.db = NULL;
    memset(fresh.statements, 0, sizeof(fresh.statements));
    int code = sqlite_connect(&fresh, message);
    if (code < 0)
        return code;
    code = sqlite_read_head(&fresh, message);
    if (!code && (fresh.head.seq != store->head.seq || fresh.head.next_id != store->head.next_id)) {
        code = message_set(
            -EBADMSG, message,
            "%s/" STATE_FILE
            " was changed by another program while it could not be written. Restart chronosfs.",
            store->directory);
    }
    if (code < 0) {
        sqlite_disconnect(&fresh);
        return code;
    }
    sqlite_disconnect(store);
    store->db = fresh.db;
    store->format = fresh.format;
    store->read_only = false;
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return 0;
}

int sqlite_writable(struct sqlite_store *store, struct message *message)
{
    int code = store->read_only ? sqlite_leave_copy(store, message) : 0;
    if (code < 0)
        return code;
    if (store->format != STATE_FORMAT) {
        int r = sqlite_tables_upgrade(store->db, store->format);
        if (r != SQLITE_OK)
            return sqlite_give_up(store, r, message);
        store->format = STATE_FORMAT;
    }
    int r = sqlite_prepare(store);
    if (r == SQLITE_OK) {
        sqlite_wal_begin(store);
        return 0;
    }
    return sqlite_message(message, "The state cannot be written", store->db, r);
}
