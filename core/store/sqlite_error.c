/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translates SQLite's codes for callers of the port: into an errno and a message. It must not know
 * any table or file.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int sqlite_errno(sqlite3 *db, int r)
{
    int from_system = db ? sqlite3_system_errno(db) : 0;

    switch (r & 0xff) {
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
    case SQLITE_ERROR: /* "no such table": damage, because the statements are valid */
        return -EBADMSG;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return -EINVAL;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_IOERR: /* the file is open, so an ENOENT is a leftover */
        return from_system > 0 && from_system != ENOENT ? -from_system : -EIO;
    default: /* SQLITE_CANTOPEN */
        return from_system > 0 ? -from_system : -EIO;
    }
}

/* SQLite's messages can quote the file, and a damaged file can contain anything. */
static int clean(int code, struct message *message)
{
    if (message)
        line_clean(message->text);
    return code;
}

int sqlite_message(struct message *message, const char *what, sqlite3 *db, int r)
{
    int code = sqlite_errno(db, r);
    /* Our own checks return codes that SQLite knows nothing of. */
    bool known = db && (sqlite3_errcode(db) & 0xff) == (r & 0xff);
    const char *why = code == -EBUSY                        ? "another program uses it"
                      : code != -EBADMSG && code != -EINVAL ? strerror(-code)
                      : known                               ? sqlite3_errmsg(db)
                                                            : sqlite3_errstr(r);
    return clean(message_set(code, message, "%s: %s.", what, why), message);
}

int sqlite_damaged(const struct sqlite_store *store, const char *how, struct message *message)
{
    message_set(-EBADMSG, message,
                "%s/" STATE_FILE " is damaged (%s). It was not changed: restore a backup, or move "
                "it away to start with an empty state.",
                store->directory, how);
    return clean(-EBADMSG, message);
}
