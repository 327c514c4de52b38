/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State files of older formats: read as they are, and brought up to date by the first
 * write, all or nothing.
 */
#include "core/store/sqlite_internal.h"
#include "help.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct store_clock boot = {"boot-1", 1000 * DAY_NS};

static char directory[PATH_MAX], file[PATH_MAX + 16], why[STORE_MESSAGE_MAX];
static struct store *store;
static struct kept kept;
static struct attempt attempt;

/* Runs SQL behind the store's back; the first value of what it answers. */
static int64_t sql(const char *path, const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t value = 0;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    while (*text != '\0') {
        ck_assert_msg(sqlite3_prepare_v2(db, text, -1, &statement, &text) == SQLITE_OK, "%s",
                      sqlite3_errmsg(db));
        if (sqlite3_step(statement) == SQLITE_ROW)
            value = sqlite3_column_int64(statement, 0);
        ck_assert_msg(sqlite3_finalize(statement) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    }
    sqlite3_close(db);
    return value;
}

static void setup(void)
{
    directory_make(directory);
    snprintf(file, sizeof(file), "%.4000s/" STATE_FILE, directory);
    sql(file, format_1_sql);
}

static void teardown(void)
{
    store = store_close(store);
    kept_clear(&kept);
    directory_remove(directory);
}

/* What the header of the file itself says, whatever is in its log. */
static int format_of_file(void)
{
    unsigned char header[100] = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, header, sizeof(header)), sizeof(header));
    close(fd);
    return header[63];
}

static int open_and_load(void)
{
    why[0] = '\0';
    store = store_close(store);
    int rc = store_sqlite.open(directory, true, &store, why, sizeof(why));
    return rc == 0 ? kept_load(&kept, store, &boot, 1000, why, sizeof(why)) : rc;
}

static void load_well(void)
{
    ck_assert_msg(open_and_load() == 0, "%s", why);
}

/* Commits a partition whose id is the number of its event; it has a plan for its end. */
static int create(uint64_t id)
{
    struct gpu_device device;
    struct partition p = partition_make(id, 0, HOUR_NS);
    p.on_expiry = ON_EXPIRY_TERM, p.grace_ns = 10, p.warn.ns = 20, p.warn.signal = SIGUSR1;
    devices_make(&device, 1);
    int rc = store_devices(store, &device, 1, why, sizeof(why));
    attempt_begin(&attempt, &boot);
    attempt_add(&attempt, id, EVENT_CREATED, &p, "created");
    return rc < 0 ? rc : store_commit(store, &attempt.batch, why, sizeof(why));
}

static void ends_plainly(const struct partition *p)
{
    ck_assert_uint_eq(p->on_expiry, ON_EXPIRY_NONE);
    ck_assert_int_eq(p->grace_ns, 0);
    ck_assert_int_eq(p->warn.ns, 0);
    ck_assert_uint_eq(p->warn.signal, 0);
    ck_assert_uint_eq(p->warned, 0);
}

/* All that format_1_sql says was loaded, and nothing more than `more` partitions. */
static void as_it_was(size_t more)
{
    const struct partition *p = &kept.partitions[0].p, *q = &kept.partitions[1].p;
    ck_assert_uint_eq(kept.partition_count, 2 + more);
    ck_assert_uint_eq(p->id, 3);
    ck_assert_uint_eq(p->uid, 6101);
    ck_assert_uint_eq(p->mode, 0775);
    ck_assert_uint_eq(p->memory_bytes, 5368709120);
    ck_assert_int_eq(p->end_ns, HOUR_NS);
    ck_assert_str_eq(p->name, "train");
    ck_assert_uint_eq(p->change_seq, 3);
    ck_assert_uint_eq(q->id, 7);
    ck_assert_int_eq(q->start_ns, -5);
    ck_assert_uint_eq(q->hold, UINT64_MAX);
    ck_assert_uint_eq(q->creator_ns, 77);
    ck_assert_uint_eq(kept.history_count, 1);
    ck_assert_uint_eq(kept.history[0].partition.id, 1);
    ck_assert_int_eq(kept.history[0].how, EVENT_EXPIRED);
    ck_assert_uint_eq(kept.history[0].by_uid, 6102);
    ck_assert_int_eq(kept.history[0].end_wall_ns, 1000 * DAY_NS + HOUR_NS);
    ends_plainly(p);
    ends_plainly(q);
    ends_plainly(&kept.history[0].partition);
    ck_assert_uint_eq(kept.setting_count, 1);
    ck_assert_str_eq(kept.settings[0].value, "2592000");
    ck_assert_uint_eq(kept.line_count, 4 + more);
    ck_assert_str_eq(kept.lines[3].text, "4 created p7");
}

START_TEST(read_as_it_is)
{
    load_well();
    as_it_was(0);
    ck_assert_uint_eq(kept.reply_count, 2);
    ck_assert_uint_eq(kept.counters.next_id, 8);
    ck_assert_uint_eq(kept.counters.next_seq, 5);
    ck_assert_uint_eq(kept.counters.mount_id, 9);
    load_well(); /* looking changed nothing */
    as_it_was(0);
    store = store_close(store);
    ck_assert_int_eq(format_of_file(), 1);
    ck_assert_int_eq(sql(file, "PRAGMA user_version"), 1);
}
END_TEST

START_TEST(first_write_brings_it_up_to_date)
{
    char fresh[PATH_MAX], path[PATH_MAX + 16], text[PATH_MAX + 256];
    load_well();
    ck_assert_msg(create(8) == 0, "%s", why);
    ck_assert_msg(create(9) == 0, "%s", why);
    load_well();
    as_it_was(2);
    ck_assert_int_eq(kept_find(&kept, 8)->p.warn.ns, 20);
    ck_assert_uint_eq(kept_find(&kept, 9)->p.on_expiry, ON_EXPIRY_TERM);
    ck_assert_msg(create(10) == 0, "%s", why);
    store = store_close(store);
    ck_assert_int_eq(sql(file, "PRAGMA user_version"), STATE_FORMAT);
    /* to the letter what a new file is */
    directory_make(fresh);
    ck_assert_int_eq(store_sqlite.open(fresh, true, &store, why, sizeof(why)), 0);
    store = store_close(store);
    snprintf(path, sizeof(path), "%.4000s/" STATE_FILE, fresh);
    snprintf(text, sizeof(text),
             "ATTACH '%.4000s' AS old; SELECT count(*) FROM main.sqlite_schema a,"
             " old.sqlite_schema b WHERE a.rowid = b.rowid AND a.name = b.name AND a.sql = b.sql",
             file);
    ck_assert_int_eq(sql(path, text), 6);
    directory_remove(fresh);
}
END_TEST

/* A file that says one format and is another, or says what it could not say then. */
START_TEST(others_are_refused_and_left_alone)
{
    static const struct {
        const char *damage, *repair, *word;
    } rows[] = {
        {"PRAGMA user_version=2", "PRAGMA user_version=1", "tables"},
        {"UPDATE partition SET on_expiry=1 WHERE id=3", "UPDATE partition SET on_expiry=0",
         "on_expiry"},
        {"UPDATE history SET on_expiry=2", "UPDATE history SET on_expiry=0", "on_expiry"},
        {"ALTER TABLE partition ADD COLUMN grace_ns INTEGER NOT NULL DEFAULT 0",
         "ALTER TABLE partition DROP COLUMN grace_ns", "tables"},
        {"UPDATE partition SET mode=-1 WHERE id=7", "UPDATE partition SET mode=493 WHERE id=7",
         "mode"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sql(file, rows[i].damage);
        int64_t format = sql(file, "PRAGMA user_version");
        ck_assert_msg(open_and_load() == -EBADMSG, "%s", rows[i].damage);
        ck_assert_msg(strstr(why, rows[i].word) != NULL, "%s", why);
        store = store_close(store);
        ck_assert_int_eq(sql(file, "PRAGMA user_version"), format);
        sql(file, rows[i].repair);
    }
    load_well();
    ck_assert_uint_eq(kept.partition_count, 2);
}
END_TEST

/* Loads, says so through the pipe, and writes. */
static _Noreturn void write_once(int fd)
{
    if (open_and_load() != 0 || write(fd, "", 1) != 1)
        _exit(1);
    _exit(create(8) == 0 ? 0 : 2);
}

/* How long the first write takes, in microseconds. */
static int64_t time_of_a_write(void)
{
    struct timespec begin, end;
    load_well();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    ck_assert_msg(create(8) == 0, "%s", why);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000;
}

/* Kill -9 somewhere in it: it was or it was not, and either way all is there. */
START_TEST(killed_at_any_moment)
{
    int status, fds[2], rounds = getenv("CHRONOS_TEST_LIGHT") != NULL ? 10 : 40;
    int64_t most_us = time_of_a_write() * 2 + 1;
    char byte;
    srand(5);
    for (int round = 0; round < rounds; round++) {
        teardown();
        setup();
        ck_assert_int_eq(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0)
            write_once(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        usleep((useconds_t)(rand() % most_us));
        kill(child, SIGKILL);
        close(fds[0]), close(fds[1]);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "%d", status);
        load_well();
        ck_assert_uint_le(kept.partition_count, 3);
        as_it_was(kept.partition_count - 2);
        ck_assert_msg(create(9) == 0, "%s", why);
    }
}
END_TEST

/* No room: nothing changes, and it works when there is some. */
START_TEST(no_room)
{
    struct rlimit limit, none;
    signal(SIGXFSZ, SIG_IGN);
    load_well();
    getrlimit(RLIMIT_FSIZE, &limit);
    none = limit;
    none.rlim_cur = 4096; /* not a frame of the log */
    setrlimit(RLIMIT_FSIZE, &none);
    ck_assert_int_lt(create(8), 0);
    ck_assert(why[0] != '\0');
    ck_assert_int_lt(create(8), 0);
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_msg(create(8) == 0, "%s", why);
    load_well();
    as_it_was(1);
}
END_TEST

static int deny_history(void *context, int action, const char *a, const char *b, const char *c,
                        const char *d)
{
    (void)context, (void)a, (void)c, (void)d;
    return action == SQLITE_ALTER_TABLE && strcmp(b, "history") == 0 ? SQLITE_DENY : SQLITE_OK;
}

/* It fails half way, and not because of the disk: nothing of it stays, and nothing is
 * left open. */
START_TEST(half_way)
{
    load_well();
    sqlite3 *db = ((struct sqlite_store *)store)->db;
    sqlite3_set_authorizer(db, deny_history, NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_lt(create(8), 0);
        ck_assert(why[0] != '\0');
        ck_assert_int_eq(sqlite3_get_autocommit(db), 1);
        ck_assert_int_eq(kept_load(&kept, store, &boot, 1000, why, sizeof(why)), 0);
        as_it_was(0);
    }
    sqlite3_set_authorizer(db, NULL, NULL);
    ck_assert_msg(create(8) == 0, "%s", why);
    load_well();
    as_it_was(1);
}
END_TEST

/* Somebody who may only read sees all of it; the copy that is read is no other format. */
START_TEST(read_only)
{
    int status;
    if (geteuid() != 0)
        return;
    chmod(directory, 0755);
    chmod(file, 0644);
    pid_t child = fork();
    if (child == 0) {
        bool good = setgid(65534) == 0 && setuid(65534) == 0 && open_and_load() == 0 &&
                    kept.partition_count == 2 && create(8) == -EACCES && why[0] != '\0';
        _exit(good ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(format_of_file(), 1);
    load_well();
    as_it_was(0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_formats");
    TCase *all = tcase_create("formats");
    const TTest *const tests[] = {read_as_it_is,
                                  first_write_brings_it_up_to_date,
                                  others_are_refused_and_left_alone,
                                  killed_at_any_moment,
                                  no_room,
                                  half_way,
                                  read_only};

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
