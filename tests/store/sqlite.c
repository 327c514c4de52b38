/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the SQLite store promises about its file: what it refuses and leaves
 * alone, what survives kill -9, what happens when the disk does not play along.
 */
#include "core/store/sqlite_internal.h"
#include "help.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct store_clock boot = {"boot-1", 1000 * DAY_NS};

static char directory[PATH_MAX], why[STORE_MESSAGE_MAX];
static struct store *store;
static struct kept kept;
static struct attempt attempt;

static void setup(void)
{
    directory_make(directory);
}

static void teardown(void)
{
    store = store_close(store);
    kept_clear(&kept);
    directory_remove(directory);
}

/* Fewer rounds where each takes long: under valgrind. */
static int rounds(int many)
{
    return getenv("CHRONOS_TEST_LIGHT") != NULL ? many / 10 : many;
}

/* -- files --------------------------------------------------------------------- */

static const char *path_in(const char *where, const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.2000s/%.200s", where, name);
    return path;
}

struct bytes {
    char *at;
    size_t count;
};

/* The bytes of a file; none when there is no such file. */
static struct bytes slurp(const char *where, const char *name)
{
    struct bytes bytes = {0};
    struct stat st;
    int fd = open(path_in(where, name), O_RDONLY);
    if (fd < 0)
        return bytes;
    ck_assert_int_eq(fstat(fd, &st), 0);
    bytes.count = (size_t)st.st_size;
    bytes.at = malloc(bytes.count + 1);
    ck_assert_int_eq(read(fd, bytes.at, bytes.count), (ssize_t)bytes.count);
    close(fd);
    return bytes;
}

static void spill(const char *where, const char *name, const struct bytes *bytes)
{
    int fd = open(path_in(where, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes->at, bytes->count), (ssize_t)bytes->count);
    close(fd);
}

static void same_file(const char *name, const struct bytes *before)
{
    struct bytes now = slurp(directory, name);
    ck_assert_uint_eq(now.count, before->count);
    ck_assert(now.count == 0 || memcmp(now.at, before->at, now.count) == 0);
    free(now.at);
}

/* Runs SQL on the file behind the store's back. */
static void sql(const char *text)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    ck_assert_int_eq(sqlite3_open(path_in(directory, STATE_FILE), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &error) == SQLITE_OK, "%s: %s", text, error);
    sqlite3_close(db);
}

/* -- short ways ------------------------------------------------------------------- */

static int try_open(bool check)
{
    why[0] = '\0';
    store = store_close(store);
    return store_sqlite.open(directory, check, &store, why, sizeof(why));
}

static int try_load(void)
{
    return kept_load(&kept, store, &boot, 1000, why, sizeof(why));
}

static void give_devices(void)
{
    struct store_device devices[2];
    devices_make(devices, 2);
    ck_assert_msg(store_devices(store, devices, 2, why, sizeof(why)) == 0, "%s", why);
    attempt_begin(&attempt, &boot);
}

static void open_well(void)
{
    ck_assert_msg(try_open(true) == 0, "%s", why);
    ck_assert_msg(try_load() == 0, "%s", why);
    give_devices();
}

static int commit(void)
{
    why[0] = '\0';
    int rc = store_commit(store, &attempt.batch, why, sizeof(why));
    attempt_begin(&attempt, &boot);
    return rc;
}

/* Tries to commit the creation of a partition whose id is its event's number. */
static int create(uint64_t id)
{
    char line[64];
    struct partition p = partition_make(id, 0, HOUR_NS);
    snprintf(line, sizeof(line), "%d created", (int)id);
    attempt_add(&attempt, id, EVENT_CREATED, &p, line);
    attempt_reply(&attempt, id, id);
    return commit();
}

/* A state with a row in every table, closed. */
static void fill(void)
{
    struct partition p = partition_make(21, 0, 5);
    open_well();
    for (uint64_t id = 1; id <= 20; id++)
        ck_assert_int_eq(create(id), 0);
    attempt_add(&attempt, 21, EVENT_CREATED, &p, "c");
    attempt_add(&attempt, 22, EVENT_EXPIRED, &p, "e");
    attempt_set(&attempt, 23, "config/retention", "30d");
    attempt_reply(&attempt, 5, 21);
    ck_assert_int_eq(commit(), 0);
    store = store_close(store);
}

static void as_filled(void)
{
    ck_assert_uint_eq(kept.partition_count, 20);
    ck_assert_uint_eq(kept.history_count, 1);
    ck_assert_uint_eq(kept.setting_count, 1);
    ck_assert_uint_eq(kept.line_count, 22);
    ck_assert_uint_eq(kept.reply_count, 1);
    ck_assert_uint_eq(kept.counters.next_id, 22);
    ck_assert_uint_eq(kept.counters.next_seq, 24);
}

/* Opening must be refused with `code` and a message, and change nothing. */
static void refused(int code, const char *word)
{
    struct bytes file = slurp(directory, STATE_FILE), wal = slurp(directory, STATE_FILE "-wal");
    for (int check = 0; check < 2; check++) {
        int rc = try_open(check);
        if (rc == 0)
            rc = try_load();
        store = store_close(store);
        ck_assert_msg(rc == code, "%d, not %d: %s", rc, code, why);
        ck_assert_msg(strstr(why, word) != NULL, "%s", why);
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
    ck_assert_int_eq(store_sqlite.open(deep, true, &store, why, sizeof(why)), 0);
    ck_assert_int_eq(try_load(), 0);
    give_devices();
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

START_TEST(other_version)
{
    fill();
    sql("PRAGMA user_version=1");
    refused(-EPROTONOSUPPORT, "older");
    sql("PRAGMA user_version=100");
    refused(-EPROTONOSUPPORT, "newer");
    sql("DROP TABLE log; PRAGMA user_version=1000000");
    refused(-EPROTONOSUPPORT, "newer");
}
END_TEST

/* The first page is in the log only: the file itself still says the format of today. */
START_TEST(other_version_in_the_log)
{
    fill();
    struct bytes old = slurp(directory, STATE_FILE);
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(path_in(directory, STATE_FILE), &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA wal_autocheckpoint=0; PRAGMA user_version=100", NULL, NULL, NULL);
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
    ck_assert(strstr(why, "put the file back") != NULL);
    same_file(STATE_FILE "-wal", &file);
    free(file.at);
}
END_TEST

/* What a kill during the creation of a state leaves. */
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
        {"UPDATE partition SET on_expiry=3 WHERE id=3", "partition"},
        {"UPDATE partition SET grace_ns=-1 WHERE id=3", "partition"},
        {"UPDATE partition SET grace_ns=9223372036854775807 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=-1 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=9223372036854775807 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_signal=10 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=5, warn_signal=9 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=5, warn_signal=4294967306 WHERE id=3", "partition"},
        {"UPDATE partition SET warned=1 WHERE id=3", "partition"},
        {"UPDATE partition SET warn_ns=5, warned=2 WHERE id=3", "partition"},
        {"UPDATE partition SET peak_bytes=-1 WHERE id=3", "partition"},
        {"UPDATE history SET gpu_ns=-1", "history"},
        {"UPDATE history SET grace_ns=-1", "history"},
        {"UPDATE history SET warned=1", "history"},
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
        {"UPDATE log SET seq=9223372036854775807 WHERE seq=23", "log"},
        {"DELETE FROM log", "log"},
        {"DELETE FROM clock", "clock"},
        {"UPDATE clock SET one=2", "clock"},
        {"UPDATE clock SET offset_ns=9223372036854775807", "clock"},
        {"UPDATE clock SET boot_id=printf('%040d', 0)", "clock"},
        {"UPDATE setting SET value=''", "setting"},
        {"UPDATE setting SET value=printf('%0128d', 0)", "setting"},
        {"UPDATE setting SET key=char(9)", "setting"},
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
        {"ALTER TABLE partition DROP COLUMN warned", "tables"},
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

/* Either refused and left alone, or loaded; never a crash. `check` finds more. */
static void damaged_once(const struct bytes *file, unsigned *refusals)
{
    spill(directory, STATE_FILE, file);
    unlink(path_in(directory, STATE_FILE "-wal"));
    int rc = try_open(rand() % 2);
    if (rc == 0)
        rc = try_load();
    store = store_close(store);
    if (rc == 0)
        return;
    ++*refusals;
    ck_assert_msg(rc == -EBADMSG || rc == -EPROTONOSUPPORT, "%d: %s", rc, why);
    ck_assert(why[0] != '\0' && strchr(why, '\n') == NULL);
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
    struct sqlite_store *inside;
    int64_t frames = 0;
    open_well();
    inside = (struct sqlite_store *)store;
    for (uint64_t id = 1; id <= 200; id++) {
        int64_t before = inside->wal_end.bytes;
        ck_assert_int_eq(create(id), 0);
        ck_assert_int_gt(inside->wal_end.bytes, before);
        frames += (inside->wal_end.bytes - before) / (STATE_PAGE_BYTES + 24);
    }
    /* Now and then a page is full and a new one is begun. */
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

/* Commits `count` lives that end at once; the log keeps the last 100 lines. */
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
    live(&seq, &id, 1, 0); /* a lot at a time, while there is more */
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

/* Commits batches for ever, telling the last acknowledged id through the pipe. */
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

static uint64_t kill_once(uint64_t known)
{
    int fds[2];
    uint64_t acknowledged = known, next;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0)
        commit_for_ever(fds[1]);
    close(fds[1]);
    /* Wait for its first word, then for a random part of what follows. */
    ck_assert_int_eq(read(fds[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    usleep((useconds_t)rand() % 12000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(fds[0], &next, sizeof(next)) == sizeof(next))
        acknowledged = next;
    close(fds[0]);
    return acknowledged;
}

START_TEST(killed_again_and_again)
{
    uint64_t acknowledged = 0;
    srand(11);
    for (int round = 0; round < rounds(100); round++) {
        acknowledged = kill_once(acknowledged);
        ck_assert_msg(try_open(true) == 0, "%s", why);
        ck_assert_msg(try_load() == 0, "%s", why);
        uint64_t last = kept.counters.next_id - 1;
        /* Whole batches, all that were acknowledged, at most one more. */
        ck_assert_uint_eq(last % 3, 0);
        ck_assert_uint_ge(last, acknowledged);
        ck_assert_uint_le(last, acknowledged + 3);
        ck_assert_uint_eq(kept.partition_count, last);
        ck_assert_uint_eq(kept.line_count, last);
        ck_assert_uint_eq(kept.reply_count, 1);
        ck_assert_uint_eq(kept.replies[0].unique, last);
        acknowledged = last;
        store = store_close(store);
    }
}
END_TEST

/* -- disks that do not play along --------------------------------------------- */

/* Runs `body` in a child that has a small tmpfs of its own on `directory`;
 * where that is not allowed the test says so. */
static void on_small_disk(const char *options, void (*body)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 ||
            mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", directory, "tmpfs", 0, options) != 0)
            _exit(77);
        body();
        fflush(NULL);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == 77)
        fprintf(stderr, "not allowed to mount: left out\n");
    else
        ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* In the child, check's own assertions cannot be told to the parent. */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x, why);                       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Takes all room but `left` bytes. */
static void take_room(size_t left)
{
    struct statvfs fs;
    MUST(statvfs(directory, &fs) == 0);
    size_t room = (size_t)fs.f_bavail * fs.f_bsize;
    int fd = open(path_in(directory, "ballast"), O_WRONLY | O_CREAT, 0600);
    MUST(fd >= 0);
    MUST(room <= left || posix_fallocate(fd, 0, (off_t)(room - left)) == 0);
    close(fd);
}

static void reload_has(uint64_t partitions)
{
    MUST(try_open(true) == 0 && try_load() == 0);
    MUST(kept.partition_count == partitions && kept.counters.next_id == partitions + 1);
    MUST(kept.line_count == partitions);
}

static void full_disk(void)
{
    uint64_t id = 1;
    int rc = 0;
    MUST(try_open(true) == 0 && try_load() == 0);
    give_devices();
    MUST(create(id) == 0);
    take_room(16 * 4096);
    /* The log has its room; it is the checkpoint that finds none. */
    for (id = 2; id < 20000 && (rc = create(id)) == 0; id++)
        continue;
    MUST(rc == -ENOSPC || rc == -EIO);
    MUST(strstr(why, "nothing was changed") != NULL);
    for (int i = 0; i < 5; i++)
        MUST(create(id) < 0);
    MUST(try_load() == 0 && kept.partition_count == id - 1); /* reads go on */
    unlink(path_in(directory, "ballast"));
    MUST(create(id) == 0); /* and so do writes, as soon as there is room */
    MUST(create(id + 1) == 0);
    reload_has(id + 1);
    give_devices();
    take_room(0);
    reload_has(id + 1); /* opening a full disk */
    unlink(path_in(directory, "ballast"));
    give_devices();
    MUST(create(id + 2) == 0);
    reload_has(id + 2);
    store = store_close(store);
}

START_TEST(disk_gets_full)
{
    on_small_disk("size=8m", full_disk);
    on_small_disk("size=5m", full_disk);
}
END_TEST

static void no_room_at_all(void)
{
    take_room(3 * 4096);
    MUST(try_open(true) == -ENOSPC);
    MUST(why[0] != '\0');
    MUST(access(path_in(directory, STATE_FILE), F_OK) != 0);
    unlink(path_in(directory, "ballast"));
    MUST(try_open(true) == 0);
    store = store_close(store);
}

START_TEST(disk_is_full_at_first)
{
    on_small_disk("size=1m", no_room_at_all);
}
END_TEST

static void remount(unsigned long flags)
{
    MUST(mount("tmpfs", directory, "tmpfs", MS_REMOUNT | flags, "size=16m") == 0);
}

static void read_only_disk(void)
{
    /* A killed daemon leaves its last commits in the log alone. */
    pid_t child = fork();
    if (child == 0) {
        MUST(try_open(true) == 0 && try_load() == 0);
        give_devices();
        for (uint64_t id = 1; id <= 10; id++)
            MUST(create(id) == 0);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child && status == 0);
    remount(MS_RDONLY);
    MUST(try_open(true) == 0 && try_load() == 0);
    MUST(kept.partition_count == 10);
    give_devices();
    MUST(create(11) == -EROFS && why[0] != '\0');
    MUST(create(11) == -EROFS);
    MUST(try_load() == 0 && kept.partition_count == 10);
    remount(0);
    MUST(create(11) == 0);
    reload_has(11);
    give_devices();
    MUST(create(12) == 0);
    store = store_close(store);
    remount(MS_RDONLY); /* and closed properly, without a log */
    reload_has(12);
    store = store_close(store);
}

START_TEST(disk_is_read_only)
{
    on_small_disk("size=16m", read_only_disk);
}
END_TEST

/* A file may not grow: as a quota would have it. */
START_TEST(file_may_not_grow)
{
    struct rlimit limit;
    uint64_t id = 1;
    int rc = 0;
    signal(SIGXFSZ, SIG_IGN);
    open_well();
    ck_assert_int_eq(create(id), 0);
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t old = limit.rlim_cur;
    limit.rlim_cur = 64 * 4096; /* the log is longer already, so not a byte of it */
    setrlimit(RLIMIT_FSIZE, &limit);
    for (id = 2; id < 20000 && (rc = create(id)) == 0; id++)
        continue;
    ck_assert_msg(rc == -EFBIG || rc == -EIO || rc == -ENOSPC, "%d", rc);
    ck_assert_int_lt(create(id), 0);
    limit.rlim_cur = old;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(create(id), 0);
    open_well();
    ck_assert_uint_eq(kept.partition_count, id);
}
END_TEST

/* A directory of somebody else, asked by an ordinary user. */
static void as_nobody(int expected_open, int expected_commit)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        MUST(setgid(65534) == 0 && setuid(65534) == 0);
        MUST(try_open(true) == expected_open && (expected_open == 0 || why[0] != '\0'));
        if (expected_open == 0) {
            MUST(try_load() == 0 && kept.partition_count == 20);
            give_devices();
            MUST(create(24) == expected_commit);
        }
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

START_TEST(not_allowed)
{
    if (geteuid() != 0)
        return;
    chmod(directory, 0755);
    as_nobody(-EACCES, 0); /* nothing there, nothing can be made */
    ck_assert_int_ne(access(path_in(directory, STATE_FILE), F_OK), 0);
    fill();
    as_nobody(-EACCES, 0); /* 0600 */
    chmod(path_in(directory, STATE_FILE), 0644);
    as_nobody(0, -EACCES); /* may read, may not write */
    open_well();
    as_filled();
}
END_TEST

START_TEST(used_by_another_process)
{
    int fds[2], status;
    char byte;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        open_well();
        if (write(fds[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    ck_assert_int_eq(try_open(true), -EBUSY);
    ck_assert_msg(strstr(why, "another program") != NULL, "%s", why);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    open_well();
}
END_TEST

/* -- a disk whose syncs fail: a shim below SQLite ---------------------------------- */

static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static const sqlite3_io_methods *real_methods;
static sqlite3_io_methods bad_methods[2]; /* [0] locks, [1] does not */
static bool syncs_fail, writes_fail;
static unsigned log_syncs;

static int bad_sync(sqlite3_file *file, int flags)
{
    log_syncs += file->pMethods == &bad_methods[1];
    return syncs_fail ? SQLITE_IOERR_FSYNC : real_methods->xSync(file, flags);
}

static int bad_write(sqlite3_file *file, const void *data, int length, sqlite3_int64 at)
{
    return writes_fail ? SQLITE_IOERR_WRITE : real_methods->xWrite(file, data, length, at);
}

static int bad_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    int rc = real_open(vfs, name, file, flags, ret_flags);
    if (rc == SQLITE_OK && file->pMethods != NULL) {
        real_methods = file->pMethods;
        sqlite3_io_methods *bad = &bad_methods[flags & SQLITE_OPEN_MAIN_DB ? 0 : 1];
        *bad = *real_methods;
        bad->xSync = bad_sync;
        bad->xWrite = bad_write;
        file->pMethods = bad;
    }
    return rc;
}

static void use_bad_disk(void)
{
    static sqlite3_vfs bad;
    syncs_fail = writes_fail = false;
    if (real_open != NULL)
        return;
    bad = *sqlite3_vfs_find(NULL);
    real_open = bad.xOpen;
    bad.xOpen = bad_open;
    bad.zName = "bad";
    sqlite3_vfs_register(&bad, 1);
}

/* What a kill -9 now would leave must hold `partitions`. */
static void killed_now_has(uint64_t partitions)
{
    char copy[PATH_MAX], live_directory[PATH_MAX];
    struct store *live_store = store;
    directory_make(copy);
    struct bytes file = slurp(directory, STATE_FILE), wal = slurp(directory, STATE_FILE "-wal");
    spill(copy, STATE_FILE, &file);
    spill(copy, STATE_FILE "-wal", &wal);
    free(file.at);
    free(wal.at);
    strcpy(live_directory, directory);
    strcpy(directory, copy);
    store = NULL;
    bool fail = syncs_fail;
    syncs_fail = false;
    ck_assert_int_eq(try_open(true), 0);
    ck_assert_int_eq(try_load(), 0);
    ck_assert_uint_eq(kept.partition_count, partitions);
    store_close(store);
    directory_remove(copy);
    strcpy(directory, live_directory);
    store = live_store;
    syncs_fail = fail;
}

START_TEST(syncs_that_fail)
{
    use_bad_disk();
    open_well();
    /* Long enough for the log to begin at its front again now and then. */
    for (uint64_t id = 1; id <= 1600; id++) {
        bool *fault = id % 2 ? &syncs_fail : &writes_fail;
        if (id % 7 == 0 || (id > 480 && id < 520)) {
            *fault = true;
            ck_assert_int_eq(create(id), -EIO);
            ck_assert_int_eq(create(id), -EIO);
            if (id % 35 == 0 || (id > 480 && id < 520))
                killed_now_has(id - 1);
            *fault = false;
        }
        ck_assert_msg(create(id) == 0, "%d: %s", (int)id, why);
    }
    open_well();
    ck_assert_uint_eq(kept.partition_count, 1600);
    ck_assert_uint_eq(kept.line_count, 1600);
}
END_TEST

/* kill -9 cannot tell whether a commit was synced; power loss can. */
START_TEST(each_commit_is_synced)
{
    use_bad_disk();
    open_well();
    for (uint64_t id = 1; id <= 100; id++) {
        unsigned before = log_syncs;
        ck_assert_int_eq(create(id), 0);
        ck_assert_uint_gt(log_syncs, before);
    }
}
END_TEST

/* The first commit after a start has no good one before it in this process. */
START_TEST(first_sync_fails)
{
    use_bad_disk();
    fill();
    open_well();
    syncs_fail = true;
    ck_assert_int_eq(create(24), -EIO);
    killed_now_has(20);
    syncs_fail = false;
    ck_assert_int_eq(create(24), 0);
    killed_now_has(21);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_sqlite");
    TCase *all = tcase_create("file");
    const TTest *const tests[] = {private_files,
                                  other_version,
                                  other_version_in_the_log,
                                  not_ours,
                                  log_without_file,
                                  half_made,
                                  rows_that_cannot_be_true,
                                  damaged_bytes,
                                  a_create_touches_two_pages,
                                  old_rows_go,
                                  killed_again_and_again,
                                  disk_gets_full,
                                  disk_is_full_at_first,
                                  disk_is_read_only,
                                  file_may_not_grow,
                                  not_allowed,
                                  used_by_another_process,
                                  each_commit_is_synced,
                                  syncs_that_fail,
                                  first_sync_fails};

    tcase_add_checked_fixture(all, setup, teardown);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(all, tests[i]);
    tcase_set_timeout(all, 240);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
