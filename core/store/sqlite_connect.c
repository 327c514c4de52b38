/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the state file: its settings, and the checks that the file is one
 * that we made. It must not know what the tables mean.
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
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

/* The tables must be ours to the letter, so that no trigger or view made by
 * hand or by damage runs when we write. */
static int check_schema(struct sqlite_store *store, char *message, size_t size)
{
    int rc = sqlite_schema_compare(store->db);

    if (rc == SQLITE_OK)
        return 0;
    if (rc != SQLITE_CORRUPT && sqlite_errno(store->db, rc) != -EBADMSG) {
        sqlite_message(message, size, "the state cannot be read", store->db, rc);
        return sqlite_errno(store->db, rc);
    }
    return sqlite_damaged(store, "its tables are not those of a state", message, size);
}

int sqlite_check_pages(struct sqlite_store *store, char *message, size_t size)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    int code = 0;
    if (text == NULL || strcmp(text, "ok") != 0)
        code =
            sqlite_damaged(store, text != NULL ? text : sqlite3_errmsg(store->db), message, size);
    sqlite3_finalize(statement);
    return code;
}

/* Once more what sqlite_look() judged: the log may hold a newer first page. */
static int check_format(struct sqlite_store *store, char *message, size_t size)
{
    int64_t application = 0, format = 0;
    int rc = number_of(store->db, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = number_of(store->db, "PRAGMA user_version", &format);
    if (rc != SQLITE_OK) {
        int code = sqlite_errno(store->db, rc);
        char what[PATH_MAX];
        snprintf(what, sizeof(what), "%.*s/" STATE_FILE " cannot be opened", PATH_MAX - 64,
                 store->directory);
        sqlite_message(message, size, what, store->db, rc);
        return code;
    }
    if (application != STATE_APPLICATION || format < 1)
        return sqlite_damaged(store, "its first page is not ours", message, size);
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.*s/" STATE_FILE, PATH_MAX - 64, store->directory);
    return sqlite_format(path, format, message, size);
}

/* Settings of a connection. NO_CKPT_ON_CLOSE stays until load() has found the
 * state good: closing a file that is refused must not write to it.
 * locking_mode=EXCLUSIVE: a second program is refused at once, nobody can hold a
 * checkpoint up, and there is no third file; sqlite_wal.c needs it too. The price
 * is that sqlite3 cannot look in while the daemon runs; the tree itself shows
 * everything that is in here. No mmap: a disk that fails would be a signal. */
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

/* SQLite opens for reading what it cannot open for writing, and then fails in
 * ways that tell nobody anything. The system call says why. */
static int why_read_only(const char *path, char *message, size_t size)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int error = fd < 0 ? errno : EROFS;
    if (fd >= 0)
        close(fd);
    snprintf(message, size, "%.*s cannot be written, so nothing was changed: %s", PATH_MAX - 128,
             path, strerror(error));
    return -error;
}

static int open_file(struct sqlite_store *store, const char *directory, char *message, size_t size)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%.*s/" STATE_FILE, PATH_MAX - 64, directory);
    int rc = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK && sqlite3_db_readonly(store->db, "main") == 1)
        return why_read_only(path, message, size);
    if (rc == SQLITE_OK)
        rc = sqlite_configure(store->db);
    if (rc != SQLITE_OK) {
        int code = sqlite_errno(store->db, rc);
        sqlite_message(message, size, "the state cannot be opened", store->db, rc);
        return code;
    }
    return check_format(store, message, size);
}

int sqlite_connect(struct sqlite_store *store, char *message, size_t size)
{
    int rc = open_file(store, store->directory, message, size);
    if (rc == 0)
        rc = check_schema(store, message, size);
    if (rc < 0)
        sqlite_disconnect(store);
    return rc;
}

/* Where the file cannot be written (a read-only or full disk, a directory of
 * somebody else) a copy in memory is read, so that everybody still sees what is
 * promised. Commits try the file itself again. */
int sqlite_connect_copy(struct sqlite_store *store, char *message, size_t size)
{
    char copy[PATH_MAX], why[STORE_MESSAGE_MAX];

    if (sqlite_copy(store->directory, copy) < 0)
        return -EROFS; /* the message of the first attempt stands */
    int rc = open_file(store, copy, why, sizeof(why));
    if (rc == 0)
        rc = check_schema(store, why, sizeof(why));
    /* The files live on without names for as long as they are open. */
    if (rc == 0)
        rc = sqlite_read_head(store, why, sizeof(why));
    sqlite_copy_remove(copy);
    if (rc == 0) {
        store->read_only = true;
        return 0;
    }
    snprintf(message, size, "%s", why);
    sqlite_disconnect(store);
    return rc;
}
