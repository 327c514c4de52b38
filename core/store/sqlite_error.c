/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SQLite's codes mean to the callers of the port: an errno and a message. It
 * must not know any table or file.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int sqlite_errno(sqlite3 *db, int rc)
{
    int error = db != NULL ? sqlite3_system_errno(db) : 0;

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_TOOBIG:
    case SQLITE_ERROR: /* "no such table": the statements themselves are right */
        return -EBADMSG;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return -EINVAL;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_IOERR: /* the file is open: what else was not found is older than this */
        return error > 0 && error != ENOENT ? -error : -EIO;
    default: /* SQLITE_CANTOPEN */
        return error > 0 ? -error : -EIO;
    }
}

/* What SQLite says can quote the file, and a damaged file holds anything. */
static void one_line(char *message)
{
    for (unsigned char *at = (unsigned char *)message; *at; at++)
        if (*at < 0x20 || *at == 0x7f)
            *at = '?';
}

void sqlite_message(char *message, size_t size, const char *what, sqlite3 *db, int rc)
{
    int code = sqlite_errno(db, rc);

    if (code == -EBUSY)
        snprintf(message, size, "%s: another program uses it", what);
    else if (code == -EBADMSG || code == -EINVAL)
        snprintf(message, size, "%s: %s", what,
                 db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    else
        snprintf(message, size, "%s: %s", what, strerror(-code));
    one_line(message);
}

int sqlite_damaged(const struct sqlite_store *store, const char *how, char *message, size_t size)
{
    snprintf(message, size,
             "%s/" STATE_FILE " is damaged (%s); it was left alone: put a copy back, or move it "
             "away to begin with nothing",
             store->directory, how);
    one_line(message);
    return -EBADMSG;
}
