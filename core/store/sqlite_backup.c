/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: the pages of the state, as a file that any SQLite reads, and a last line that says where
 * they come from and that they are complete. It must not know what the tables mean.
 */
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "sqlite_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- the last line ------------------------------------------------------------------ */

#define NO_MACHINE  "0000000000000000"
#define FIRST_WORDS "\nchronosfs backup 1"

void sqlite_trailer_print(const struct sqlite_trailer *trailer,
                          char ret_text[static SQLITE_TRAILER_BYTES + 1])
{
    char text[SQLITE_TRAILER_BYTES];
    snprintf(text, sizeof(text),
             FIRST_WORDS " machine=%s lineage=%016" PRIx64 " made=%020" PRId64 " hash=%016" PRIx64,
             trailer->machine[0] ? trailer->machine : NO_MACHINE, trailer->lineage,
             trailer->made_wall_ns, trailer->hash);
    snprintf(ret_text, SQLITE_TRAILER_BYTES + 1, "%-*s\n", SQLITE_TRAILER_BYTES - 1, text);
}

bool sqlite_trailer_parse(const char text[static SQLITE_TRAILER_BYTES],
                          struct sqlite_trailer *ret_trailer)
{
    char line[SQLITE_TRAILER_BYTES + 1], again[SQLITE_TRAILER_BYTES + 1];
    struct sqlite_trailer trailer;
    memcpy(line, text, SQLITE_TRAILER_BYTES);
    line[SQLITE_TRAILER_BYTES] = '\0';
    if (sscanf(line,
               FIRST_WORDS " machine=%16[0-9a-f] lineage=%16" SCNx64 " made=%" SCNd64
                           " hash=%16" SCNx64,
               trailer.machine, &trailer.lineage, &trailer.made_wall_ns, &trailer.hash) != 4)
        return false;
    sqlite_trailer_print(&trailer, again);
    if (strcmp(line, again) != 0)
        return false;
    if (strcmp(trailer.machine, NO_MACHINE) == 0)
        trailer.machine[0] = '\0';
    *ret_trailer = trailer;
    return true;
}

/* -- the pages ---------------------------------------------------------------------- */

/* A database in memory takes no other page size from a backup than the one that it has. */
static int same_page_size(sqlite3 *from, sqlite3 *to)
{
    char text[64];
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(from, "PRAGMA page_size", -1, &statement, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    int bytes = r == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    snprintf(text, sizeof(text), "PRAGMA page_size=%d", bytes);
    return r == SQLITE_ROW ? sqlite3_exec(to, text, NULL, NULL, NULL) : r;
}

/* Copy what is committed, the log included, to a database in memory. An SQLite code. */
static int copy_pages(sqlite3 *from, sqlite3 **ret_copy)
{
    sqlite3 *copy = NULL;
    int r = sqlite3_open_v2(":memory:", &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = same_page_size(from, copy);
    sqlite3_backup *backup =
        r == SQLITE_OK ? sqlite3_backup_init(copy, "main", from, "main") : NULL;
    if (r == SQLITE_OK && !backup)
        r = sqlite3_errcode(copy);
    if (backup) {
        sqlite3_backup_step(backup, -1);
        r = sqlite3_backup_finish(backup);
    }
    if (r == SQLITE_OK) {
        *ret_copy = copy;
        return r;
    }
    sqlite3_close(copy);
    return r;
}

static int write_all(int fd, const void *data, size_t length)
{
    const char *at = data;
    for (ssize_t n; length > 0; at += n, length -= (size_t)n) {
        n = write(fd, at, length);
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
    }
    return 0;
}

/* -- a copy -------------------------------------------------------------------------- */

struct store_copy {
    sqlite3 *db; /* in memory */
    struct sqlite_trailer trailer;
};

int sqlite_backup_copy(struct store *base, struct store_copy **ret_copy, struct message *message)
{
    const struct sqlite_store *store = (struct sqlite_store *)base;
    struct store_copy *copy = calloc(1, sizeof(*copy));
    if (!copy)
        return message_set(-ENOMEM, message, "There is not enough memory for a backup.");
    int r = copy_pages(store->db, &copy->db);
    if (r != SQLITE_OK) {
        store_copy_free(copy);
        return sqlite_message(message, "The state cannot be copied", store->db, r);
    }
    copy->trailer.lineage = store->lineage;
    copy->trailer.made_wall_ns = clock_realtime_ns();
    sqlite_origin_machine(MACHINE_ID, copy->trailer.machine);
    *ret_copy = copy;
    return 0;
}

int store_copy_write(const struct store_copy *copy, int fd, struct message *message)
{
    char text[SQLITE_TRAILER_BYTES + 1];
    struct sqlite_trailer trailer = copy->trailer;
    sqlite3_int64 bytes = 0;
    unsigned char *pages = sqlite3_serialize(copy->db, "main", &bytes, 0);
    int r = pages ? write_all(fd, pages, (size_t)bytes) : -ENOMEM;
    if (!r) {
        trailer.hash = hash_bytes(HASH_START, pages, (size_t)bytes);
        sqlite_trailer_print(&trailer, text);
        r = write_all(fd, text, SQLITE_TRAILER_BYTES);
    }
    sqlite3_free(pages);
    if (r)
        return message_set(r, message, "A backup cannot be written: %s.", strerror(-r));
    return 0;
}

struct store_copy *store_copy_free(struct store_copy *copy)
{
    if (copy)
        sqlite3_close(copy->db);
    free(copy);
    return NULL;
}
