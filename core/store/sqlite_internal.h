/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internals of the SQLite adapter. Each file uses only those before it: sqlite_error.c makes
 * messages, sqlite_row.c reads rows, sqlite_schema.c defines columns, sqlite_tables.c tables,
 * sqlite_file.c finds, checks and creates the file, sqlite_origin.c knows where it comes from,
 * sqlite_wal.c maintains its log, sqlite_statement.c has the statements that write, sqlite_guest.c
 * keeps guests, sqlite_usage.c usage, sqlite_place.c has lists of devices as blobs,
 * sqlite_waiting.c keeps what waits, sqlite_prune.c drops what is too much, sqlite_load.c reads,
 * sqlite_connect.c connects, sqlite_commit.c and sqlite_devices.c write, sqlite_backup.c writes
 * backups, sqlite.c is the port, and sqlite_restore.c makes a state of a backup.
 */
#ifndef CHRONOS_STORE_SQLITE_INTERNAL_H
#define CHRONOS_STORE_SQLITE_INTERNAL_H

#include "internal.h"

#include <limits.h>
#include <sqlite3.h>

#define STATE_FILE        "state.db"
#define STATE_APPLICATION 0x6368726e /* "chrn" */
#define STATE_TABLES      5          /* raise it when the tables change, but for attributes */
/* Files of two formats before are upgraded before the first write, others are refused. */
enum {
    STATE_ATTRIBUTES = 0
#define ATTRIBUTE(...) +1
#include "core/engine/partition.def"
};
#define STATE_COLUMNS     1 /* raise it when other columns of these tables change */
#define STATE_FORMAT      (STATE_TABLES * 100 + STATE_ATTRIBUTES + STATE_COLUMNS)
#define STATE_FIRST       405 /* has no columns for what waits or has several shares */
#define STATE_SECOND      505 /* has no column for awaited users */
#define STATE_DEVICES_MAX 4096
#define STATE_PAGE_BYTES  4096
#define STATE_WAL_FRAMES  1000 /* pages in the log before they are copied into the file */
#define WAL_HEADER        32
#define STATE_ID_JUMP     1000000 /* the fewest ids to leave out after a backup of everything */
#define MACHINE_ID        "/etc/machine-id"
#define MACHINE_MAX       17 /* including NUL */

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
    SQL_WAITING_PUT,
    SQL_WAITING_DELETE,
    SQL_WAITING_REBASE,
    SQL_HISTORY_INSERT,
    SQL_HISTORY_DROP,
    SQL_HISTORY_TRIM,
    SQL_HISTORY_OLDEST,
    SQL_HISTORY_COUNT,
    SQL_LOG_INSERT,
    SQL_LOG_HEAD,
    SQL_LOG_DROP,
    SQL_SETTING_PUT,
    SQL_SETTING_DELETE,
    SQL_CLOCK_PUT,
    SQL_DEVICE_PUT,
    SQL_GUEST_INSERT,
    SQL_GUEST_FORGET,
    SQL_USAGE_REBASE,
    SQL_COUNT
};

/* A row of the device table. */
struct device_row {
    int64_t row;
    struct store_device device;
};

/* Counters of the state, stored in the newest row of the log. */
struct head {
    int64_t seq;       /* of the newest event */
    uint64_t next_id;  /* of the next partition */
    int64_t first_seq; /* older lines are dropped, now or later */
};

/* Content of the clock table, and the moment of the last commit, which is in the log's newest row.
 */
struct clock_row {
    struct store_clock clock;
    uint64_t mount_id;
};

/* How many entries an account has in the history. */
struct tally {
    uint32_t account, rows;
    int64_t first_seq; /* none of them is before; 0: a free place */
};

/* The tallies of all accounts, as far as counted. */
struct counts {
    struct tally *tallies; /* a hash table */
    uint32_t capacity, used, rows;
    bool has_over;
    uint32_t over;                 /* the account that has too many, if known */
    int64_t counted_seq, last_seq; /* rows between are not counted yet; later ones are */
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
    int format;     /* STATE_FORMAT, STATE_SECOND or STATE_FIRST */
    bool in_memory; /* no file at all */
    bool read_only; /* working on a copy in memory because the file cannot be written */
    struct head head;
    struct clock_row clock; /* as in the file */
    int64_t shift_ns;       /* what load() added to times, and the next commit must */
    struct device_row *devices;
    uint32_t device_count;
    int64_t *device_rows; /* engine index -> row */
    uint32_t index_count;
    uint64_t *set_room;  /* for two sets of devices */
    int64_t dropped_seq; /* older log lines are gone */
    int64_t prune_at_ns, pruned_retention_ns;
    bool prune_more;
    int64_t calendar_offset_ns; /* of a wall clock that was not set since the last start */
    struct counts counts;
    int wal_fd; /* -1 until load() has found the state valid */
    struct wal_end wal_end;
    int id_fd;        /* of `last_id`; -1 until load() */
    uint64_t next_id; /* after the id in it */
    uint64_t lineage; /* in it; 0: unknown */
};

/* -- sqlite_error.c -- */

/* The errno that best describes an SQLite error. */
int sqlite_errno(sqlite3 *db, int r);
/* Set the message "what: reason." Return sqlite_errno(). */
int sqlite_message(struct message *message, const char *what, sqlite3 *db, int r);
/* Set a message that the file is damaged. Return -EBADMSG. */
int sqlite_damaged(const struct sqlite_store *store, const char *how, struct message *message);

/* -- sqlite_row.c -- */

/* A row being read. `bad` is the name of the first column with an impossible value. */
struct sqlite_row {
    struct sqlite_store *store;
    const char *table;
    sqlite3_stmt *statement;
    int r;
    const char *bad;
    int64_t last; /* the key of the previous row */
    struct message *message;
};
/* Start reading with `sql`; NULL means that allocating it failed. Call sqlite_rows_next until it is
 * false. */
struct sqlite_row sqlite_rows_begin(struct sqlite_store *store, const char *table, const char *sql,
                                    struct message *message);
bool sqlite_rows_next(struct sqlite_row *row);
/* Finish reading. Return `code`, or -errno and a message if SQLite failed. */
int sqlite_rows_end(struct sqlite_row *row, int code);
/* 0, or -EBADMSG and a message if the row has an impossible value. */
int sqlite_row_check(struct sqlite_row *row);
int64_t sqlite_row_int(struct sqlite_row *row, int column, int64_t min, int64_t max);
/* Read the key that orders the rows. A damaged tree can have one twice or misplaced, where it would
 * not be found again. */
int64_t sqlite_row_key(struct sqlite_row *row, int column, int64_t min, int64_t max);
/* A column of bytes; `at` is valid until the next row. */
struct sqlite_blob {
    const void *at;
    int bytes;
};
/* Read a blob whose length is a multiple of `each`, at most `max`. */
struct sqlite_blob sqlite_row_blob(struct sqlite_row *row, int column, int each, int64_t max);
/* Read one printable line (UTF-8 passes) of at least `min` and less than `size` bytes. */
void sqlite_row_line(struct sqlite_row *row, int column, size_t min, char *ret, size_t size);

/* -- sqlite_schema.c -- */

/* Tables defined by the list of columns, as bits. */
enum sqlite_table { SQLITE_PARTITION = 1, SQLITE_HISTORY = 2, SQLITE_WAITING = 16 };

#define SQLITE_HOW_MAX 15
/* A row of either table, as in the file: in history, times are wall clock times, and change_seq is
 * the number of the event that ended the partition. */
struct sqlite_record {
    struct partition p; /* except for the device */
    uint32_t account;   /* whose entry it is in the history */
    int64_t device;     /* row of the device table */
    char how[SQLITE_HOW_MAX + 1];
    uint32_t by_uid;
    struct store_usage usage;
    struct waiting waiting;                       /* of a partition that waits; else all zero */
    struct sqlite_blob shares, barred, preferred; /* sqlite_place.c */
};

/* SQL for all columns, to be freed with sqlite3_free(); NULL if out of memory. Parameter n is
 * column n; 1 is the key. */
char *sqlite_schema_create(enum sqlite_table table, int format);
char *sqlite_schema_insert(enum sqlite_table table);
/* Leaves usage unchanged: events do not carry it. */
char *sqlite_schema_update(enum sqlite_table table);
char *sqlite_schema_select(enum sqlite_table table, int format, const char *tail);
/* Return whether load would accept every column of the record. */
bool sqlite_schema_fits(enum sqlite_table table, const struct sqlite_record *record);
/* Bind a record. It must live until the statement has run. */
void sqlite_schema_bind(sqlite3_stmt *statement, enum sqlite_table table,
                        const struct sqlite_record *record);
/* Read the columns selected by sqlite_schema_select(). */
void sqlite_schema_read(struct sqlite_row *row, enum sqlite_table table,
                        struct sqlite_record *ret_record);
/* Add the columns that this format did not have. An SQLite code. */
int sqlite_schema_add_columns(sqlite3 *db, enum sqlite_table table, int format);

/* -- sqlite_tables.c -- */

/* Create the tables of an empty state. An SQLite code. */
int sqlite_tables_make(sqlite3 *db);
/* Compare the tables with those of the format, literally. An SQLite code; SQLITE_CORRUPT if they
 * differ. */
int sqlite_tables_compare(sqlite3 *db, int format);
/* Make the tables of a format before those of ours, or nothing. An SQLite code. */
int sqlite_tables_upgrade(sqlite3 *db, int format);

/* -- sqlite_file.c -- */

/* Create the directory and return its real path. 0 or -errno and a message. */
int sqlite_directory(const char *directory, char ret[PATH_MAX], struct message *message);
/* Check that this program reads `format`. 0, or -EPROTONOSUPPORT and a message. */
int sqlite_format(const char *path, int64_t format, struct message *message);
/* Check the first bytes of the file; changes nothing. 1 valid, 0 no file, or -errno and a
 * message. */
int sqlite_file_check(const char *directory, struct message *message);
/* Create the empty tables. An SQLite code. */
int sqlite_fill(sqlite3 *db);
/* Create an empty state under another name and rename it. 0 or -errno and a message. */
int sqlite_create(const char *directory, struct message *message);
/* Copy the file and its log to a directory in memory, to read a state that cannot be written. 0 or
 * -errno. The caller removes *ret_directory with sqlite_copy_remove. */
int sqlite_copy(const char *directory, char ret_directory[PATH_MAX]);
void sqlite_copy_remove(const char *directory);

/* -- sqlite_origin.c -- */

/* Read a machine-id, as a text that does not reveal it; "" if there is none. */
void sqlite_origin_machine(const char *path, char ret_machine[static MACHINE_MAX]);
/* Refuse the state of another machine: -EXDEV and a message. Changes nothing. */
int sqlite_origin_check(const char *directory, struct message *message);
/* Record the machine if none is, and return the next id, which no earlier state has given. Call
 * after the head was read and the state was found valid. */
uint64_t sqlite_origin_next_id(struct sqlite_store *store);
/* The same for a state that becomes the one of `directory`, and is of this lineage. The head and
 * the clock are those of the backup. */
uint64_t sqlite_origin_restored(struct sqlite_store *store, const char *directory,
                                uint64_t lineage);
/* Forget the machine of a state, which is to be this one. */
void sqlite_origin_forget_machine(const char *directory);
/* Record the last id that was given, if it is not recorded yet. */
void sqlite_origin_note(struct sqlite_store *store);

/* -- sqlite_wal.c -- */

/* Start maintaining the log. Called again until it succeeds. */
void sqlite_wal_begin(struct sqlite_store *store);
/* Erase what a failed commit may have left behind the last good one. */
void sqlite_wal_strike(struct sqlite_store *store);

/* -- sqlite_connect.c -- */

int sqlite_configure(sqlite3 *db); /* an SQLite code */
/* Open the file, after sqlite_file_check(). */
int sqlite_connect(struct sqlite_store *store, struct message *message);
/* Open a copy of the file, if the file itself cannot be written. */
int sqlite_connect_copy(struct sqlite_store *store, struct message *message);
/* Try the file again after its copy was read. It must not have changed. */
int sqlite_leave_copy(struct sqlite_store *store, struct message *message);
void sqlite_disconnect(struct sqlite_store *store);
/* Make the state ready for writing. Call before each write. */
int sqlite_writable(struct sqlite_store *store, struct message *message);
/* The slow check for damage. */
int sqlite_check_pages(struct sqlite_store *store, struct message *message);

/* -- sqlite_statement.c -- */

/* Prepare the statements that are not yet. An SQLite code. */
int sqlite_prepare(struct sqlite_store *store);
/* Run a statement with bound values. An SQLite code. */
int sqlite_run(struct sqlite_store *store, enum statement which);
/* Roll back a failed write and set a message. Return -errno. */
int sqlite_give_up(struct sqlite_store *store, int r, struct message *message);

/* -- sqlite_guest.c -- */

/* Whether a row of the table `setting` is a guest. */
#define SQLITE_IS_GUEST "key >= 'guest/' AND key < 'guest0'"
/* Write that a guest came or went, as the event says. An SQLite code. */
int sqlite_guest_put(struct sqlite_store *store, const struct engine_event *event);
/* Forget the guests of a partition. An SQLite code. */
int sqlite_guest_forget(struct sqlite_store *store, uint64_t id);
int sqlite_guest_load(struct sqlite_store *store, const struct store_sink *sink,
                      struct message *message);

/* -- sqlite_usage.c -- */

/* Whether a row of the table `setting` is a record of usage, or the beginning of its time. */
#define SQLITE_IS_USAGE "key >= 'usage/' AND key < 'usage0'"
/* Write the records that an event has changed. An SQLite code. */
int sqlite_usage_put(struct sqlite_store *store, const struct engine_event *event);
/* Move the beginning of time to the present clock. An SQLite code. */
int sqlite_usage_rebase(struct sqlite_store *store);
int sqlite_usage_load(struct sqlite_store *store, const struct store_sink *sink,
                      struct message *message);

/* -- sqlite_place.c -- */

/* How many bytes an entry of a list takes: a share beside the first, and a device of a set. */
#define SQLITE_SHARE_BYTES  24
#define SQLITE_DEVICE_BYTES 8
/* The row of a device in the table, or 0. */
int64_t sqlite_place_row(const struct sqlite_store *store, uint32_t device);
/* The list of the shares beside the first, in `room`. -EINVAL: a device is not registered. */
int sqlite_place_shares(const struct sqlite_store *store, const struct partition *partition,
                        uint64_t room[static 3 * SHARE_MAX], struct sqlite_blob *ret_shares);
/* Set the lists of the sets of devices that one has that waits, in the store's room for them. */
void sqlite_place_sets(struct sqlite_store *store, const struct waiting *waiting,
                       struct sqlite_record *record);
/* Read the devices and the other shares of a record into it and `ret_devices`. */
void sqlite_place_read(struct sqlite_row *row, struct sqlite_record *record,
                       const struct store_device *ret_devices[SHARE_MAX]);
/* Read a set of devices; `name` is the column's, `room` has room for all of the table. */
struct store_device_set sqlite_place_read_set(struct sqlite_row *row, const struct sqlite_blob *set,
                                              const char *name, const struct store_device **room);

/* -- sqlite_waiting.c -- */

/* Write what an event did to the row of the table `waiting`. An SQLite code. */
int sqlite_waiting_put(struct sqlite_store *store, const struct engine_event *event);
int sqlite_waiting_rebase(struct sqlite_store *store);
/* The rows, read beside those of the partitions, which are in the same order. */
struct sqlite_waiting {
    struct sqlite_row row;
    struct sqlite_record record;
    bool any; /* it is a row */
};
int sqlite_waiting_begin(struct sqlite_store *store, struct sqlite_waiting *waiting,
                         struct message *message);
/* Set what the partition of `row` has that waits, until sqlite_waiting_next. `room` is for two sets
 * of devices. */
int sqlite_waiting_take(struct sqlite_waiting *waiting, struct sqlite_row *row,
                        const struct partition *p, const struct store_device **room,
                        struct store_partition *loaded);
int sqlite_waiting_next(struct sqlite_waiting *waiting, const struct store_partition *loaded);
int sqlite_waiting_end(struct sqlite_waiting *waiting, int code);

/* -- sqlite_prune.c -- */

/* Begin to count the history, after the head was read. */
void sqlite_prune_start(struct sqlite_store *store);
void sqlite_prune_stop(struct sqlite_store *store);
/* Drop what is too old or too much, after this batch was committed. */
void sqlite_prune(struct sqlite_store *store, const struct store_batch *batch);

/* -- sqlite_backup.c -- */

/* The last line of a backup, behind the pages of the state. */
struct sqlite_trailer {
    char machine[MACHINE_MAX];
    uint64_t lineage;
    int64_t made_wall_ns;
    uint64_t hash; /* of everything before it */
};
#define SQLITE_TRAILER_BYTES 128
void sqlite_trailer_print(const struct sqlite_trailer *trailer,
                          char ret_text[static SQLITE_TRAILER_BYTES + 1]);
/* False if it is none. */
bool sqlite_trailer_parse(const char text[static SQLITE_TRAILER_BYTES],
                          struct sqlite_trailer *ret_trailer);
int sqlite_backup_copy(struct store *base, struct store_copy **ret_copy, struct message *message);

/* -- sqlite_load.c, sqlite_commit.c, sqlite_devices.c: the functions of the port -- */

/* Read head and clock. */
int sqlite_read_head(struct sqlite_store *store, struct message *message);
int sqlite_read_devices(struct sqlite_store *store, struct message *message);
int sqlite_load(struct store *base, const struct store_clock *clock, const struct store_sink *sink,
                struct store_counters *ret_counters, struct message *message);
int sqlite_devices(struct store *base, const struct store_device *devices, uint32_t count,
                   struct message *message);
int sqlite_commit(struct store *base, const struct store_batch *batch, struct message *message);
/* The word for an end in the history; NULL for other events. */
const char *sqlite_how(enum event_kind kind);

#endif
