/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maintenance of the write-ahead log file, in addition to what SQLite does. First, the log gets its
 * full size at the start, because overwriting a file and syncing it is nearly twice as fast as
 * extending it. Second, a failed commit is erased, because a failed sync leaves a complete
 * transaction in the page cache, which the next process would take as committed. Both depend on the
 * lock of locking_mode=EXCLUSIVE: nothing else reads or writes the log.
 *
 * SQLite's own way, SQLITE_FCNTL_PERSIST_WAL, was measured: creates cost 0.99 to 1.05 of these once
 * the log has its size, but 1.9 to 2.2 times as much for the first 500 of a new state. It erases
 * nothing, and it leaves a log beside a closed state: SQLite would write the log's pages over a
 * restored backup of the file.
 */
#include "sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRAME_HEADER 24
#define FRAME_BYTES  (FRAME_HEADER + STATE_PAGE_BYTES)

/* The header changes when SQLite restarts the log; reading it each time is cheaper than tracking
 * that. */
static void remember(struct sqlite_store *store, int frames)
{
    store->wal_end.bytes = WAL_HEADER + (int64_t)frames * FRAME_BYTES;
    if (pread(store->wal_fd, store->wal_end.header, WAL_HEADER, 0) != WAL_HEADER)
        memset(store->wal_end.header, 0, WAL_HEADER);
}

/* Called by SQLite after each commit. Does what its autocheckpoint would do. */
static int committed(void *context, sqlite3 *db, const char *name, int frames)
{
    struct sqlite_store *store = context;

    remember(store, frames);
    /* Ignore the result: the commit is done, and the next one tries again. */
    if (frames >= STATE_WAL_FRAMES)
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return SQLITE_OK;
}

/* Zeros are not a valid frame, so SQLite sees the log end where it ended. */
static void extend(int fd)
{
    static const char zeros[65536];
    struct stat st;
    const off_t full = WAL_HEADER + (off_t)(STATE_WAL_FRAMES + 64) * FRAME_BYTES;

    if (fstat(fd, &st) != 0 || st.st_size >= full)
        return;
    for (off_t at = st.st_size; at < full;) {
        size_t length = full - at < (off_t)sizeof(zeros) ? (size_t)(full - at) : sizeof(zeros);
        ssize_t n = pwrite(fd, zeros, length, at);
        if (n <= 0) { /* disk full: release the space */
            if (ftruncate(fd, st.st_size) != 0)
                return;
            break;
        }
        at += n;
    }
    fdatasync(fd);
}

/* A file rebuilt by hand can have another page size; then leave the log to SQLite. */
static bool pages_are_ours(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    bool ours = sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW &&
                sqlite3_column_int(statement, 0) == STATE_PAGE_BYTES;
    sqlite3_finalize(statement);
    return ours;
}

void sqlite_wal_begin(struct sqlite_store *store)
{
    char path[PATH_MAX];
    int frames = -1;

    if (store->wal_fd >= 0 || store->read_only || store->in_memory)
        return;
    snprintf(path, sizeof(path), "%.*s/" STATE_FILE "-wal", PATH_MAX - 64, store->directory);
    if (!pages_are_ours(store->db))
        return;
    sqlite3_wal_hook(store->db, committed, store);
    if (sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, NULL) !=
            SQLITE_OK ||
        frames < 0)
        return;
    store->wal_fd = open(path, O_RDWR | O_CLOEXEC);
    if (store->wal_fd < 0)
        return;
    remember(store, frames);
    extend(store->wal_fd);
}

void sqlite_wal_strike(struct sqlite_store *store)
{
    static const char zeros[WAL_HEADER];
    unsigned char header[WAL_HEADER] = {0};

    if (store->wal_fd < 0)
        return;
    /* SQLite has restarted the log, so everything before is in the file itself. */
    bool begun_again = pread(store->wal_fd, header, WAL_HEADER, 0) != WAL_HEADER ||
                       memcmp(header, store->wal_end.header, WAL_HEADER) != 0;
    off_t at = begun_again ? 0 : store->wal_end.bytes;
    struct stat st;
    if (fstat(store->wal_fd, &st) != 0 || st.st_size <= at)
        return;
    if (pwrite(store->wal_fd, zeros, begun_again ? WAL_HEADER : FRAME_HEADER, at) > 0)
        fdatasync(store->wal_fd);
}
