/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of the SQLite store about its file: what it refuses without changing it, the cost of a
 * commit, and what survives kill -9. Failing disks are in disk.c.
 */
#include "fixture.h"

#include "core/base/clock.h"
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fewer rounds under valgrind, which makes each slow. */
static int rounds(int many)
{
    return getenv("CHRONOS_TEST_LIGHT") ? many / 10 : many;
}

static void same_file(const char *name, const struct bytes *before)
{
    struct bytes now = slurp(directory, name);
    ck_assert_uint_eq(now.count, before->count);
    ck_assert(now.count == 0 || memcmp(now.at, before->at, now.count) == 0);
    free(now.at);
}

/* Run SQL on the file behind the store's back. */
static void sql(const char *text)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    ck_assert_int_eq(sqlite3_open(path_in(directory, STATE_FILE), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &error) == SQLITE_OK, "%s: %s", text, error);
    sqlite3_close(db);
}

/* Opening must be refused with `code` and a message, and change nothing. */
static void refused(int code, const char *word)
{
    struct bytes file = slurp(directory, STATE_FILE), wal = slurp(directory, STATE_FILE "-wal");
    for (int check = 0; check < 2; check++) {
        int r = try_open(check);
        if (!r)
            r = try_load();
        store = store_close(store);
        ck_assert_msg(r == code, "%d, not %d: %s", r, code, why.text);
        ck_assert_msg(strstr(why.text, word), "%s", why.text);
        same_file(STATE_FILE, &file);
        same_file(STATE_FILE "-wal", &wal);
    }
    free(file.at);
    free(wal.at);
}

/* -- the file ------------------------------------------------------------------ */

START_TEST(private_files)
{
    char deep[PATH_MAX];
    struct stat st;
    umask(0);
    snprintf(deep, sizeof(deep), "%.2000s/a/b/", directory);
    ck_assert_int_eq(store_sqlite.open(deep, true, &store, &why), 0);
    ck_assert_int_eq(try_load(), 0);
    give_devices(2, &boot);
    ck_assert_int_eq(create(1), 0);
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    ck_assert_int_eq(stat(path_in(deep, STATE_FILE), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(path_in(deep, STATE_FILE "-wal"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    store = store_close(store);
    directory_remove(deep);
    rmdir(path_in(directory, "a"));
}
END_TEST

/* -- where it comes from ------------------------------------------------------- */

static void copy_state(const char *from, const char *to, bool all)
{
    static const char *const names[] = {STATE_FILE, "last_id", "machine"};
    for (size_t i = 0; i < (all ? 3 : 1); i++) {
        struct bytes bytes = slurp(from, names[i]);
        spill(to, names[i], &bytes);
        free(bytes.at);
    }
}

/* Open the state and give the next id. */
static uint64_t next_id_given(void)
{
    open_well();
    uint64_t id = kept.counters.next_id;
    struct partition p = partition_make(id, 0, HOUR_NS);
    attempt_add(&attempt, kept.counters.next_seq, EVENT_CREATED, &p, "created");
    ck_assert_msg(commit() == 0, "%s", why.text);
    store = store_close(store);
    return id;
}

/* An older state never gives an id that the newer one has given. */
START_TEST(restored_backups)
{
    char backup[PATH_MAX];
    scratch_make(backup);
    ck_assert_uint_eq(next_id_given(), 1);
    ck_assert_uint_eq(next_id_given(), 2);
    copy_state(directory, backup, true);
    for (uint64_t id = 3; id <= 9; id++)
        ck_assert_uint_eq(next_id_given(), id);
    copy_state(backup, directory, false); /* the file alone */
    ck_assert_uint_eq(next_id_given(), 10);
    ck_assert_uint_eq(next_id_given(), 11);
    uint64_t id = 11;
    for (int i = 0; i < 3; i++) {
        usleep(200000); /* backups are older than that */
        if (i == 1) {
            directory_remove(directory);
            ck_assert_int_eq(mkdir(directory, 0700), 0);
        }
        if (i == 2)
            unlink(path_in(directory, "last_id"));
        else
            copy_state(backup, directory, true); /* the whole directory */
        ck_assert_uint_gt(next_id_given(), id);
        id = next_id_given();
        ck_assert_uint_eq(next_id_given(), ++id);
        ck_assert_uint_gt(id, STATE_ID_JUMP);
    }
    directory_remove(backup);
}
END_TEST

/* The id is recorded once the store has settled, also while it is open. */
START_TEST(settled_ids)
{
    open_well();
    struct partition p = partition_make(kept.counters.next_id, 0, HOUR_NS);
    attempt_add(&attempt, kept.counters.next_seq, EVENT_CREATED, &p, "created");
    ck_assert_msg(commit() == 0, "%s", why.text);
    store_settle(store);
    struct bytes note = slurp(directory, "last_id");
    ck_assert_uint_eq(strtoull((const char *)note.at, NULL, 10), p.id);
    free(note.at);
}
END_TEST

/* A refused commit has given nothing. */
START_TEST(ids_of_a_new_state)
{
    ck_assert_uint_eq(next_id_given(), 1);
    open_well();
    ck_assert_uint_eq(kept.counters.next_id, 2);
    struct partition p = partition_make(7, 5, 5);
    attempt_add(&attempt, 9, EVENT_CREATED, &p, "bad");
    ck_assert_int_eq(commit(), -EINVAL);
    ck_assert_uint_eq(next_id_given(), 2);
}
END_TEST

START_TEST(another_machine)
{
    static char other[] = "0123456789abcdef", none[] = "uninitialized\n",
                some[] = "00112233445566778899aabbccddeeff\n";
    char mine[MACHINE_MAX], text[MACHINE_MAX];
    struct bytes bytes = {other, 16};
    sqlite_origin_machine(MACHINE_ID, mine);
    if (mine[0] == '\0') {
        fprintf(stderr, "no machine-id: left out\n");
        return;
    }
    fill();
    struct bytes written = slurp(directory, "machine");
    ck_assert_uint_eq(written.count, 16);
    ck_assert_int_eq(memcmp(written.at, mine, 16), 0);
    free(written.at);
    spill(directory, "machine", &bytes);
    refused(-EXDEV, "another machine");
    ck_assert(strstr(why.text, "/machine and start again"));
    unlink(path_in(directory, "machine")); /* a deliberate move */
    open_well();
    as_filled();
    open_well(); /* it belongs here now */
    same_file("machine", &(struct bytes){mine, 16});
    /* Where there is no id, or none yet, nothing is refused or recorded. */
    spill(directory, "id", &(struct bytes){none, 14});
    sqlite_origin_machine(path_in(directory, "id"), text);
    ck_assert_str_eq(text, "");
    sqlite_origin_machine(path_in(directory, "not there"), text);
    ck_assert_str_eq(text, "");
    spill(directory, "id", &(struct bytes){some, 33});
    sqlite_origin_machine(path_in(directory, "id"), text);
    ck_assert_uint_eq(strlen(text), 16);
}
END_TEST

/* -- the format ------------------------------------------------------------------ */

START_TEST(other_version)
{
    fill();
    sql("PRAGMA user_version=1");
    refused(-EPROTONOSUPPORT, "older");
    sql("PRAGMA user_version=100000");
    refused(-EPROTONOSUPPORT, "newer");
    sql("DROP TABLE log; PRAGMA user_version=1000000");
    refused(-EPROTONOSUPPORT, "newer");
}
END_TEST

/* The first page is only in the log: the file itself still has today's format. */
START_TEST(other_version_in_the_log)
{
    fill();
    struct bytes old = slurp(directory, STATE_FILE);
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(path_in(directory, STATE_FILE), &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA wal_autocheckpoint=0; PRAGMA user_version=100000", NULL, NULL, NULL);
    struct bytes wal = slurp(directory, STATE_FILE "-wal");
    sqlite3_close(db);
    ck_assert_uint_gt(wal.count, 0);
    spill(directory, STATE_FILE, &old);
    spill(directory, STATE_FILE "-wal", &wal);
    refused(-EPROTONOSUPPORT, "newer");
    free(old.at);
    free(wal.at);
}
END_TEST

START_TEST(not_ours)
{
    static const char text[] = "this is a shopping list that is somewhat longer than a hundred "
                               "bytes, because the header of a database is that long";
    sql("CREATE TABLE t(x); PRAGMA user_version=1");
    refused(-EBADMSG, "another program");
    sql("PRAGMA application_id=12345; PRAGMA journal_mode=WAL");
    refused(-EBADMSG, "another program");
    spill(directory, STATE_FILE, &(struct bytes){(char *)(uintptr_t)text, sizeof(text)});
    refused(-EBADMSG, "damaged or not");
    spill(directory, STATE_FILE, &(struct bytes){(char *)(uintptr_t)text, 0});
    refused(-EBADMSG, "damaged or not");
    unlink(path_in(directory, STATE_FILE));
    ck_assert_int_eq(mkdir(path_in(directory, STATE_FILE), 0700), 0);
    ck_assert_int_lt(try_open(false), 0);
    rmdir(path_in(directory, STATE_FILE));
}
END_TEST

START_TEST(log_without_file)
{
    fill();
    struct bytes file = slurp(directory, STATE_FILE);
    spill(directory, STATE_FILE "-wal", &file);
    unlink(path_in(directory, STATE_FILE));
    ck_assert_int_eq(try_open(true), -EBADMSG);
    ck_assert(strstr(why.text, "put the file back"));
    same_file(STATE_FILE "-wal", &file);
    free(file.at);
}
END_TEST

/* The leftovers of a kill during the creation of a state. */
START_TEST(half_made)
{
    static const char rubbish[] = "rubbish";
    struct bytes bytes = {(char *)(uintptr_t)rubbish, sizeof(rubbish)};
    spill(directory, STATE_FILE ".new", &bytes);
    spill(directory, STATE_FILE ".new-journal", &bytes);
    fill();
    ck_assert_int_ne(access(path_in(directory, STATE_FILE ".new"), F_OK), 0);
    open_well();
    as_filled();
}
END_TEST

/* Partition 3 waits. */
#define WAITING                                                                                    \
    "UPDATE partition SET state=0 WHERE id=3;"                                                     \
    "INSERT INTO waiting VALUES(3, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 5, 1, x'', 0, x'');"

START_TEST(rows_that_cannot_be_true)
{
    static const struct {
        const char *sql, *table;
    } rows[] = {
        {"UPDATE partition SET id=0 WHERE id=3", "partition"},
        {"UPDATE partition SET id=-7 WHERE id=3", "partition"},
        {"UPDATE partition SET id=22 WHERE id=3", "partition"},
        {"UPDATE partition SET device=9 WHERE id=3", "partition"},
        {"UPDATE partition SET uid=-1 WHERE id=3", "partition"},
        {"UPDATE partition SET gid=4294967296 WHERE id=3", "partition"},
        {"UPDATE partition SET mode=4096 WHERE id=3", "partition"},
        {"UPDATE partition SET on_expiry=77 WHERE id=3", "partition"},
        {"UPDATE partition SET memory_bytes=0 WHERE id=3", "partition"},
        {"UPDATE partition SET memory_bytes=-5 WHERE id=3", "partition"},
        {"UPDATE partition SET end_ns=start_ns WHERE id=3", "partition"},
        {"UPDATE partition SET start_ns=9223372036854775807 WHERE id=3", "partition"},
        {"UPDATE partition SET start_ns=-9223372036854775807-1 WHERE id=3", "partition"},
        {"UPDATE partition SET end_ns=9223372036854775807 WHERE id=3", "partition"},
        {"UPDATE partition SET creator_pid=-1 WHERE id=3", "partition"},
        {"UPDATE partition SET change_seq=24 WHERE id=3", "partition"},
        {"UPDATE partition SET name='a b' WHERE id=3", "partition"},
        {"UPDATE partition SET name='a/b' WHERE id=3", "partition"},
        {"UPDATE partition SET name=char(10) WHERE id=3", "partition"},
        {"UPDATE partition SET name=printf('%065d', 0) WHERE id=3", "partition"},
        {"UPDATE partition SET name='a'||char(0)||'b' WHERE id=3", "partition"},
        {"UPDATE partition SET on_expiry=4 WHERE id=3", "partition"},
        {"UPDATE partition SET grace_ns=-1 WHERE id=3", "partition"},
        {"UPDATE partition SET grace_ns=9223372036854775807 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=-1 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=9223372036854775807 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_signal=10 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=5, warn_signal=9 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=5, warn_signal=4294967306 WHERE id=3", "partition"},
        {"UPDATE partition SET state=2 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=5, state=4 WHERE id=3", "partition"},
        {"UPDATE partition SET peak_bytes=-1 WHERE id=3", "partition"},
        {"UPDATE history SET gpu_ns=-1", "history"},
        {"UPDATE history SET grace_ns=-1", "history"},
        {"UPDATE partition SET shares=x'00' WHERE id=3", "partition"},
        {"UPDATE partition SET shares=zeroblob(24) WHERE id=3", "partition"},
        {"UPDATE partition SET shares=zeroblob(192) WHERE id=3", "partition"},
        {WAITING "UPDATE waiting SET barred=zeroblob(8)", "waiting"},
        {WAITING "UPDATE waiting SET barred=x'00'", "waiting"},
        {WAITING "UPDATE waiting SET preferred=x'00'", "waiting"},
        {WAITING "UPDATE waiting SET spread=-1", "waiting"},
        {"UPDATE partition SET state=0 WHERE id=3", "partition"}, /* it waits for nothing */
        {WAITING "UPDATE waiting SET promised_ns=-1", "waiting"},
        {WAITING "UPDATE waiting SET id=4", "partition"},
        {WAITING "INSERT INTO waiting SELECT 4, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 5, 1, x'', 0, x''",
         "waiting"},
        {WAITING "UPDATE partition SET state=1 WHERE id=3", "waiting"},
        {WAITING "UPDATE waiting SET priority=3", "waiting"},
        {WAITING "UPDATE waiting SET fixed=2", "waiting"},
        {WAITING "UPDATE waiting SET digits=-1", "waiting"},
        {"UPDATE history SET shares=zeroblob(24)", "history"},
        {"UPDATE history SET state=2", "history"},
        {"UPDATE history SET how='eaten'", "history"},
        {"UPDATE history SET id=99", "history"},
        {"UPDATE history SET device=0", "history"},
        {"UPDATE history SET seq=24", "history"},
        {"UPDATE history SET end_wall_ns=9223372036854775807", "history"},
        {"UPDATE log SET line='two'||char(10)||'lines' WHERE seq=3", "log"},
        {"UPDATE log SET line=printf('%512d', 0) WHERE seq=3", "log"},
        {"UPDATE log SET head_next_id=NULL WHERE seq=23", "log"},
        {"UPDATE log SET head_next_id=0 WHERE seq=23", "log"},
        {"UPDATE log SET head_replies=x'00' WHERE seq=23", "log"},
        {"UPDATE log SET head_seen_ns=-1 WHERE seq=23", "log"},
        {"UPDATE log SET head_seen_ns=NULL WHERE seq=23", "log"},
        {"UPDATE log SET head_seen_ns=4611686018427387904 WHERE seq=23", "log"},
        {"UPDATE log SET seq=9223372036854775807 WHERE seq=23", "log"},
        {"DELETE FROM log", "log"},
        {"DELETE FROM clock", "clock"},
        {"UPDATE clock SET one=2", "clock"},
        {"UPDATE clock SET offset_ns=9223372036854775807", "clock"},
        {"UPDATE clock SET boot_id=printf('%040d', 0)", "clock"},
        {"UPDATE setting SET value=''", "setting"},
        {"UPDATE setting SET value=printf('%0128d', 0)", "setting"},
        {"UPDATE setting SET key=char(9)", "setting"},
        {"INSERT INTO setting VALUES('usage/user/7', '0 0:0 0 0:0 0 0:')", "setting"},
        {"INSERT INTO setting VALUES('usage/user/7', '0 0:0 0 0:0 0 0:00')", "setting"},
        {"INSERT INTO setting VALUES('usage/user/07', '0 0:0 0 0:0 0 0:0')", "setting"},
        {"INSERT INTO setting VALUES('usage/root/7', '0 0:0 0 0:0 0 0:0')", "setting"},
        {"INSERT INTO setting VALUES('usage/user/7', '0 9223372036854775807:0 0 0:0 0 0:0')",
         "setting"},
        {"INSERT INTO setting VALUES('usage/origin', '1x')", "setting"},
        {"INSERT INTO setting VALUES('usage/origin', '9223372036854775807')", "setting"},
        {"INSERT INTO setting VALUES('guest/1/x', 'in')", "setting"},
        {"INSERT INTO setting VALUES('guest/0/1000', 'in')", "setting"},
        {"INSERT INTO setting VALUES('guest/01/1000', 'in')", "setting"},
        {"INSERT INTO setting VALUES('guest/1/4294967295', 'in')", "setting"},
        {"INSERT INTO setting VALUES('guest/1/1000', '')", "setting"},
        {"WITH RECURSIVE c(n) AS (SELECT 1 UNION SELECT n + 1 FROM c WHERE n < 17)"
         " INSERT INTO setting SELECT 'guest/1/' || n, 'in' FROM c",
         "setting"},
        {"UPDATE device SET key='key0'", "device"},
        {"UPDATE device SET memory_bytes=0", "device"},
        {"UPDATE device SET key=''", "device"},
        {"UPDATE device SET row=-row", "device"},
        {"UPDATE partition SET name=printf('%02000000d', 0) WHERE id=3", "partition"},
        {"CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM partition; END", "tables"},
        {"CREATE VIEW v AS SELECT 1", "tables"},
        {"CREATE INDEX i ON log(line)", "tables"},
        {"ALTER TABLE log ADD COLUMN x TEXT", "tables"},
        {"DROP TABLE setting", "tables"},
        {"PRAGMA application_id=0", "another program"},
        {"PRAGMA user_version=0", "format 0"},
        {"ALTER TABLE partition ADD COLUMN more INTEGER NOT NULL DEFAULT 0", "tables"},
        {"ALTER TABLE partition DROP COLUMN state", "tables"},
    };
    fill();
    struct bytes good = slurp(directory, STATE_FILE);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sql(rows[i].sql);
        refused(-EBADMSG, rows[i].table);
        spill(directory, STATE_FILE, &good);
    }
    open_well();
    as_filled();
    free(good.at);
}
END_TEST

/* Either refused and unchanged, or loaded; never a crash. `check` finds more. */
static void damaged_once(const struct bytes *file, unsigned *refusals)
{
    spill(directory, STATE_FILE, file);
    unlink(path_in(directory, STATE_FILE "-wal"));
    int r = try_open(rand() % 2);
    if (!r)
        r = try_load();
    store = store_close(store);
    if (!r)
        return;
    ++*refusals;
    ck_assert_msg(r == -EBADMSG || r == -EPROTONOSUPPORT, "%d: %s", r, why.text);
    ck_assert(why.text[0] != '\0' && !strchr(why.text, '\n'));
    same_file(STATE_FILE, file);
}

START_TEST(damaged_bytes)
{
    unsigned refusals = 0;
    fill();
    struct bytes good = slurp(directory, STATE_FILE), bad = slurp(directory, STATE_FILE);
    srand(4711);
    for (int round = 0; round < rounds(600); round++) {
        memcpy(bad.at, good.at, good.count);
        bad.count = good.count;
        for (int i = rand() % 8; i >= 0; i--) {
            size_t at = (size_t)rand() % (rand() % 2 ? 200 : bad.count);
            bad.at[at] = (char)(rand() % 3 == 0 ? 0xff : rand());
        }
        if (round % 5 == 0)
            bad.count = (size_t)rand() % bad.count;
        damaged_once(&bad, &refusals);
    }
    ck_assert_uint_gt(refusals, (unsigned)rounds(200));
    spill(directory, STATE_FILE, &good);
    open_well();
    as_filled();
    free(good.at);
    free(bad.at);
}
END_TEST

/* -- cost ---------------------------------------------------------------------- */

START_TEST(a_create_touches_two_pages)
{
    int64_t frames = 0;
    open_well();
    struct sqlite_store *inside = (struct sqlite_store *)store;
    for (uint64_t id = 1; id <= 200; id++) {
        int64_t before = inside->wal_end.bytes;
        ck_assert_int_eq(create(id), 0);
        ck_assert_int_gt(inside->wal_end.bytes, before);
        frames += (inside->wal_end.bytes - before) / (STATE_PAGE_BYTES + 24);
    }
    /* Now and then a page is full and a new one is started. */
    ck_assert_int_le(frames, 2 * 200 + 60);
}
END_TEST

static int64_t rows_in(const char *table)
{
    char text[64];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    snprintf(text, sizeof(text), "SELECT count(*) FROM %s", table);
    ck_assert_int_eq(sqlite3_open(path_in(directory, STATE_FILE), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

/* Commit `count` partitions that end at once; the log keeps the last 100 lines. */
static void live(uint64_t *seq, uint64_t *id, int count, int64_t retention_ns)
{
    while (count > 0) {
        for (int i = 0; i < 30 && count > 0; i++, count--) {
            struct partition p = partition_make((*id)++, (int64_t)*seq, (int64_t)*seq + 1);
            attempt_add(&attempt, (*seq)++, EVENT_CREATED, &p, "c");
            attempt_add(&attempt, (*seq)++, EVENT_EXPIRED, &p, "e");
        }
        attempt.batch.retention_ns = retention_ns;
        attempt.batch.first_line_seq = *seq > 100 ? *seq - 100 : 0;
        ck_assert_int_eq(commit(), 0);
    }
}

START_TEST(old_rows_go)
{
    uint64_t seq = 1, id = 1;
    open_well();
    live(&seq, &id, 3500, INT64_MAX);
    store = store_close(store);
    ck_assert_int_eq(rows_in("history"), 3500);
    ck_assert_int_lt(rows_in("log"), 100 + 2 * STORE_PRUNE_ROWS);
    open_well();
    ck_assert_uint_eq(kept.line_count, 100);
    live(&seq, &id, 1, 0); /* many at a time, as long as there are more */
    store = store_close(store);
    ck_assert_int_eq(rows_in("history"), 3501 - STORE_PRUNE_ROWS);
    open_well();
    live(&seq, &id, 120, 0);
    store = store_close(store);
    ck_assert_int_lt(rows_in("history"), 121);
    open_well();
    ck_assert_uint_eq(kept.counters.next_id, id);
}
END_TEST

/* -- kill -9 --------------------------------------------------------------------- */

/* Commit batches forever, and send the last acknowledged id through the pipe. */
static _Noreturn void commit_for_ever(int fd)
{
    open_well();
    uint64_t id = kept.counters.next_seq;
    for (;;) {
        for (int i = 0; i < 3; i++, id++) {
            struct partition p = partition_make(id, 0, HOUR_NS);
            attempt_add(&attempt, id, EVENT_CREATED, &p, "created");
        }
        attempt_reply(&attempt, id - 1, id - 1);
        if (commit() != 0)
            _exit(1);
        uint64_t acknowledged = id - 1;
        if (write(fd, &acknowledged, sizeof(acknowledged)) != sizeof(acknowledged))
            _exit(1);
    }
}

static uint64_t kill_once(void)
{
    int fds[2];
    uint64_t acknowledged, next;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0)
        commit_for_ever(fds[1]);
    close(fds[1]);
    /* At a random instant of the next commits, however long one takes here. */
    ck_assert_int_eq(read(fds[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    int64_t begin_ns = clock_monotonic_ns();
    ck_assert_int_eq(read(fds[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    int64_t commit_us = (clock_monotonic_ns() - begin_ns) / 1000;
    usleep((useconds_t)(rand() % (3 * commit_us + 1)));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(fds[0], &next, sizeof(next)) == sizeof(next))
        acknowledged = next;
    close(fds[0]);
    return acknowledged;
}

START_TEST(killed_again_and_again)
{
    srand(11);
    for (int round = 0; round < rounds(100); round++) {
        uint64_t acknowledged = kill_once();
        ck_assert_msg(try_open(true) == 0, "%s", why.text);
        ck_assert_msg(try_load() == 0, "%s", why.text);
        uint64_t last = kept.counters.next_id - 1;
        /* Whole batches: all acknowledged ones, and at most one more. */
        ck_assert_uint_eq(last % 3, 0);
        ck_assert_uint_ge(last, acknowledged);
        ck_assert_uint_le(last, acknowledged + 3);
        ck_assert_uint_eq(kept.partition_count, last);
        ck_assert_uint_eq(kept.line_count, last);
        ck_assert_uint_eq(kept.reply_count, 1);
        ck_assert_uint_eq(kept.replies[0].unique, last);
        store = store_close(store);
    }
}
END_TEST

int main(void)
{
    return check_main("store-sqlite", fixture_setup, fixture_teardown, private_files,
                      restored_backups, settled_ids, ids_of_a_new_state, another_machine,
                      other_version, other_version_in_the_log, not_ours, log_without_file,
                      half_made, rows_that_cannot_be_true, damaged_bytes,
                      a_create_touches_two_pages, old_rows_go, killed_again_and_again);
}
