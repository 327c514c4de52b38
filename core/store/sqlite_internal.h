/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the SQLite adapter. Each file uses those before it: sqlite_error.c makes
 * messages, sqlite_row.c reads rows, sqlite_schema.c knows the tables, sqlite_file.c
 * finds, judges and creates the file, sqlite_wal.c takes care of its log, sqlite_load.c
 * reads, sqlite_connect.c connects, sqlite_commit.c and sqlite_devices.c write, and
 * sqlite.c is the port.
 */
#ifndef CHRONOS_STORE_SQLITE_PRIVATE_H
#define CHRONOS_STORE_SQLITE_PRIVATE_H

#include "internal.h"

#include <limits.h>
#include <sqlite3.h>

#define STATE_FILE        "state.db"
#define STATE_APPLICATION 0x6368726e /* "chrn" */
#define STATE_FORMAT      3          /* a file of another one is refused */
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
    SQL_PARTITION_USAGE,
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
    struct store_device device;
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

/* -- sqlite_error.c -- */

/* The errno that says best what SQLite says. */
int sqlite_errno(sqlite3 *db, int r);
/* Says "what: reason of r"; returns sqlite_errno(). */
int sqlite_message(struct message *message, const char *what, sqlite3 *db, int r);
/* Says that the file is damaged; -EBADMSG. */
int sqlite_damaged(const struct sqlite_store *store, const char *how, struct message *message);

/* -- sqlite_row.c -- */

/* A row being read; `bad` names the first column that cannot be true. */
struct sqlite_row {
    struct sqlite_store *store;
    const char *table;
    sqlite3_stmt *statement;
    int r;
    const char *bad;
    int64_t last; /* the key of the row before */
    struct message *message;
};
/* Reads with `sql` (NULL: no memory was left to make it), until rows_next is false. */
struct sqlite_row sqlite_rows_begin(struct sqlite_store *store, const char *table, const char *sql,
                                    struct message *message);
bool sqlite_rows_next(struct sqlite_row *row);
/* Ends reading: `code`, or a -errno and a message when SQLite failed. */
int sqlite_rows_end(struct sqlite_row *row, int code);
/* 0, or -EBADMSG and a message when something in this row cannot be true. */
int sqlite_row_judge(struct sqlite_row *row);
int64_t sqlite_row_int(struct sqlite_row *row, int column, int64_t min, int64_t max);
/* The key that the rows are in order of: a damaged tree may have one twice, or
 * in the wrong place, where it would not be found again. */
int64_t sqlite_row_key(struct sqlite_row *row, int column, int64_t min, int64_t max);
/* One printable line (UTF-8 passes) of at least `min` and less than `size` bytes. */
void sqlite_row_line(struct sqlite_row *row, int column, size_t min, char *ret, size_t size);

/* -- sqlite_schema.c -- */

/* The tables that have one list of columns, as bits. */
enum sqlite_table { SQLITE_PARTITION = 1, SQLITE_HISTORY = 2 };

#define SQLITE_HOW_MAX 15
/* A row of either, as it is in the file: in history times are those of the wall clock,
 * and change_seq is the number of the event that was the end. */
struct sqlite_record {
    struct partition p; /* but the device: */
    int64_t device;     /* row of the device table */
    char how[SQLITE_HOW_MAX + 1];
    uint32_t by_uid;
    struct store_usage usage;
};

/* Statements for all columns, for sqlite3_free(); NULL: no memory. Parameter n is column
 * n, the key is 1. */
char *sqlite_schema_create(enum sqlite_table table);
char *sqlite_schema_insert(enum sqlite_table table);
/* Does not change usage, which events do not carry. */
char *sqlite_schema_update(enum sqlite_table table);
char *sqlite_schema_select(enum sqlite_table table, const char *tail);
/* Binds a record, which must live until the statement ran. */
void sqlite_schema_bind(sqlite3_stmt *statement, enum sqlite_table table,
                        const struct sqlite_record *record);
/* Reads the columns that sqlite_schema_select() asked for. */
void sqlite_schema_read(struct sqlite_row *row, enum sqlite_table table,
                        struct sqlite_record *ret_record);
/* Makes the tables of an empty state; an SQLite code. */
int sqlite_schema_make(sqlite3 *db);
/* Whether the tables are ours to the letter; an SQLite code, SQLITE_CORRUPT when not. */
int sqlite_schema_compare(sqlite3 *db);

/* -- sqlite_file.c -- */

/* Makes the directory; 0 or -errno and a message. The real path goes to ret. */
int sqlite_directory(const char *directory, char ret[PATH_MAX], struct message *message);
/* Whether `path` has the format of this program; 0 or -EPROTONOSUPPORT and a message. */
int sqlite_format(const char *path, int64_t format, struct message *message);
/* Checks the first bytes of the file and changes nothing. 1: it is ours; 0: there is none;
 * or -errno and a message. */
int sqlite_look(const char *directory, struct message *message);
/* Makes the empty tables; an SQLite code. */
int sqlite_fill(sqlite3 *db);
/* Makes an empty state under another name and puts it in place. */
int sqlite_create(const char *directory, struct message *message);
/* Copies the file and its log to memory, for reading where nothing can be
 * written. The caller removes *ret_directory with sqlite_copy_remove. */
int sqlite_copy(const char *directory, char ret_directory[PATH_MAX]);
void sqlite_copy_remove(const char *directory);

/* -- sqlite_wal.c -- */

/* Takes care of the log from now on. Called again until it works. */
void sqlite_wal_begin(struct sqlite_store *store);
/* Strikes out what a failed commit may have left behind the last good one. */
void sqlite_wal_strike(struct sqlite_store *store);

/* -- sqlite_connect.c -- */

/* Settings of a connection; an SQLite code. */
int sqlite_configure(sqlite3 *db);
/* Opens the file, after sqlite_look(). */
int sqlite_connect(struct sqlite_store *store, struct message *message);
/* Opens a copy of the file, where it cannot be written itself. */
int sqlite_connect_copy(struct sqlite_store *store, struct message *message);
/* Tries the file again after a copy was read. It must still be what was copied. */
int sqlite_leave_copy(struct sqlite_store *store, struct message *message);
void sqlite_disconnect(struct sqlite_store *store);
/* The slow look for damage. */
int sqlite_check_pages(struct sqlite_store *store, struct message *message);

/* -- sqlite_commit.c, for sqlite_devices.c -- */

/* Makes the state ready for writing. Call it before each write. */
int sqlite_writable(struct sqlite_store *store, struct message *message);
/* Runs a statement whose values are bound; an SQLite code. */
int sqlite_run(struct sqlite_store *store, enum statement which);
/* Says why nothing was written, and leaves the connection clean; a -errno. */
int sqlite_give_up(struct sqlite_store *store, int r, struct message *message);

/* -- sqlite_load.c, sqlite_commit.c, sqlite_devices.c: the functions of the port -- */

/* Reads head and clock. */
int sqlite_read_head(struct sqlite_store *store, struct message *message);
int sqlite_read_devices(struct sqlite_store *store, struct message *message);
int sqlite_load(struct store *base, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, struct message *message);
int sqlite_devices(struct store *base, const struct store_device *devices, uint32_t count,
                   struct message *message);
int sqlite_commit(struct store *base, const struct store_batch *batch, struct message *message);
/* The word that the history says for an end; NULL for what is none. */
const char *sqlite_how(enum event_kind kind);

#endif
