/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the SQLite adapter: sqlite_file.c finds, judges and creates the file,
 * sqlite.c opens and closes it, sqlite_load.c reads it, sqlite_commit.c writes.
 */
#ifndef CHRONOS_STORE_SQLITE_PRIVATE_H
#define CHRONOS_STORE_SQLITE_PRIVATE_H

#include "internal.h"

#include <limits.h>
#include <sqlite3.h>

#define STATE_FILE        "state.db"
#define STATE_APPLICATION 0x6368726e /* "chrn" */
#define STATE_FORMAT      2          /* a file of another one is refused */
#define STATE_DEVICES_MAX 4096
#define STATE_PAGE_BYTES  4096
#define STATE_WAL_FRAMES  1000 /* so many pages in the log: then into the file */
#define WAL_HEADER        32

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_PARTITION_INSERT,
    SQL_PARTITION_UPDATE,
    SQL_PARTITION_DELETE,
    SQL_PARTITION_REBASE,
    SQL_PARTITION_NOTED,
    SQL_HISTORY_INSERT,
    SQL_HISTORY_DROP,
    SQL_LOG_INSERT,
    SQL_LOG_HEAD,
    SQL_LOG_DROP,
    SQL_SETTING_PUT,
    SQL_SETTING_DELETE,
    SQL_CLOCK_PUT,
    SQL_DEVICE_PUT,
    SQL_COUNT
};

/* A row of the device table. */
struct device_row {
    int64_t row;
    char key[160];
    char name[128];
    uint64_t memory_bytes;
};

/* The newest row of the log says where everything stands. */
struct head {
    int64_t seq;       /* of the last event */
    uint64_t next_id;  /* of the next partition */
    int64_t first_seq; /* lines below it are dropped, or will be */
};

/* What the clock table holds. */
struct clock_row {
    struct store_clock clock;
    uint64_t mount_id;
};

/* The end of the write-ahead log after the last good commit. */
struct wal_end {
    int64_t bytes;
    unsigned char header[WAL_HEADER];
};

struct sqlite_store {
    struct store base;
    char directory[PATH_MAX];
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    bool in_memory; /* there is no file at all */
    bool read_only; /* this is a copy in memory; the file itself cannot be written */
    struct head head;
    struct clock_row clock;    /* as it is in the file */
    struct store_clock loaded; /* what load() moved the times to; boot_id "" before */
    struct device_row *devices;
    uint32_t device_count;
    int64_t *device_rows; /* engine index -> row */
    uint32_t index_count;
    int64_t dropped_seq; /* log lines below it are gone */
    int64_t prune_at_ns, pruned_retention_ns;
    bool prune_more;
    int wal_fd; /* -1 until load() found the state good */
    struct wal_end wal_end;
};

/* -- sqlite_file.c -- */

/* The rows that make an empty state, in one text; also what a file must hold. */
struct schema_row {
    const char *table, *sql;
};
extern const struct schema_row sqlite_schema[]; /* ends with a NULL table */

/* Makes the directory; 0 or -errno and a message. The real path goes to ret. */
int sqlite_directory(const char *directory, char ret[PATH_MAX], char *message, size_t size);
/* Whether `path` has the format of this program; 0 or -EPROTONOSUPPORT and a message. */
int sqlite_format(const char *path, int64_t format, char *message, size_t size);
/* Looks at the first bytes of the file without changing anything. 1 it is ours,
 * 0 there is none, or -errno and a message. */
int sqlite_look(const char *directory, char *message, size_t size);
/* Makes the empty tables; an SQLite code. */
int sqlite_fill(sqlite3 *db);
/* Makes an empty state under another name and puts it in place. */
int sqlite_create(const char *directory, char *message, size_t size);
/* Copies the file and its log to memory, for reading where nothing can be
 * written. The caller removes *ret_directory with sqlite_copy_remove. */
int sqlite_copy(const char *directory, char ret_directory[PATH_MAX]);
void sqlite_copy_remove(const char *directory);

/* -- sqlite.c -- */

/* The errno that says best what SQLite says. */
int sqlite_errno(sqlite3 *db, int rc);
/* "what: reason of rc." */
void sqlite_message(char *message, size_t size, const char *what, sqlite3 *db, int rc);
/* Opens the file that has been looked at. */
int sqlite_connect(struct sqlite_store *store, char *message, size_t size);
void sqlite_disconnect(struct sqlite_store *store);

/* -- sqlite_wal.c -- */

/* Takes care of the log from now on. Called again until it works. */
void sqlite_wal_begin(struct sqlite_store *store);
/* Strikes out what a failed commit may have left behind the last good one. */
void sqlite_wal_strike(struct sqlite_store *store);

/* -- sqlite_commit.c, for sqlite_devices.c -- */

/* Before the first write, and again after each failure until it works. */
int sqlite_writable(struct sqlite_store *store, char *message, size_t size);
/* Runs a statement whose values are bound; an SQLite code. */
int sqlite_run(struct sqlite_store *store, enum statement which);
/* Says why nothing was written, and leaves the connection clean; a -errno. */
int sqlite_give_up(struct sqlite_store *store, int rc, char *message, size_t size);

/* -- sqlite_load.c, sqlite_commit.c, sqlite_devices.c: the functions of the port -- */

/* Reads head and clock. */
int sqlite_read_head(struct sqlite_store *store, char *message, size_t size);
int sqlite_read_devices(struct sqlite_store *store, char *message, size_t size);
int sqlite_load(struct store *base, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, char *message, size_t size);
int sqlite_devices(struct store *base, const struct gpu_device *devices, uint32_t count,
                   char *message, size_t size);
int sqlite_commit(struct store *base, const struct store_batch *batch, char *message, size_t size);
/* The word that the history says for an end; NULL for what is none. */
const char *sqlite_how(enum event_kind kind);

#endif
