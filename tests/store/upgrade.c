/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state file of the first format, as programs made it that knew neither shares on several devices
 * nor requests that wait, and one of the second, which knew no awaited users: they are read
 * without a change, upgraded before the first write, and nothing in them is lost.
 */
#include "fixture.h"

#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Literally what they wrote. */
static const char first_format[] =
    "PRAGMA page_size=4096; PRAGMA journal_mode=DELETE; BEGIN;"
    "PRAGMA application_id=1667789422; PRAGMA user_version=405;"
    "CREATE TABLE device(row INTEGER PRIMARY KEY, key TEXT NOT NULL, name TEXT NOT NULL,"
    " memory_bytes INTEGER NOT NULL) STRICT;"
    "CREATE TABLE partition(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, uid INTEGER NOT NULL,"
    " gid INTEGER NOT NULL, mode INTEGER NOT NULL, memory_bytes INTEGER NOT NULL, compute_ppm"
    " INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, peak_bytes INTEGER NOT"
    " NULL, gpu_ns INTEGER NOT NULL, name TEXT NOT NULL, created_wall_ns INTEGER NOT NULL, state"
    " INTEGER NOT NULL, on_expiry INTEGER NOT NULL, grace_ns INTEGER NOT NULL, warn_ns INTEGER NOT"
    " NULL, warn_signal INTEGER NOT NULL, hold INTEGER NOT NULL, creator_ns INTEGER NOT NULL,"
    " creator_uid INTEGER NOT NULL, creator_pid INTEGER NOT NULL, change_seq INTEGER NOT NULL)"
    " STRICT;"
    "CREATE TABLE history(seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, device INTEGER NOT NULL,"
    " uid INTEGER NOT NULL, gid INTEGER NOT NULL, mode INTEGER NOT NULL, memory_bytes INTEGER NOT"
    " NULL, compute_ppm INTEGER NOT NULL, start_wall_ns INTEGER NOT NULL, end_wall_ns INTEGER NOT"
    " NULL, peak_bytes INTEGER NOT NULL, gpu_ns INTEGER NOT NULL, name TEXT NOT NULL,"
    " created_wall_ns INTEGER NOT NULL, state INTEGER NOT NULL, on_expiry INTEGER NOT NULL,"
    " grace_ns INTEGER NOT NULL, warn_ns INTEGER NOT NULL, warn_signal INTEGER NOT NULL,"
    " creator_ns INTEGER NOT NULL, creator_uid INTEGER NOT NULL, creator_pid INTEGER NOT NULL, how"
    " TEXT NOT NULL, account INTEGER NOT NULL, by_uid INTEGER NOT NULL) STRICT;"
    "CREATE TABLE log(seq INTEGER PRIMARY KEY, line TEXT, head_next_id INTEGER,"
    " head_first_seq INTEGER, head_replies BLOB, head_seen_ns INTEGER) STRICT;"
    "CREATE TABLE setting(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE clock(one INTEGER PRIMARY KEY, boot_id TEXT NOT NULL,"
    " offset_ns INTEGER NOT NULL, mount_id INTEGER NOT NULL) STRICT;"
    "INSERT INTO device VALUES(1, 'key0', 'dev0', 85899345920);"
    "INSERT INTO device VALUES(2, 'key1', 'dev1', 85899345920);"
    "INSERT INTO partition VALUES(3, 2, 1000, 100, 493, 5242880, 0, 0, 3600000000000, 11, 22,"
    " 'train', 1795226304146806967, 1, 1, 10000000000, 0, 0, 0, 0, 1000, 4711, 5);"
    "INSERT INTO history VALUES(4, 2, 1, 1001, 100, 493, 77, 0, 86400000000000000,"
    " 86400000000000005, 33, 44, '', 1795226304146806967, 1, 1, 0, 0, 0, 0, 1001, 4712, 'released',"
    " 1001, 1001);"
    "INSERT INTO setting VALUES('config/retention', '30d');"
    "INSERT INTO setting VALUES('guest/3/1002', 'in');"
    "INSERT INTO log VALUES(4, 'a line', NULL, NULL, NULL, NULL);"
    "INSERT INTO log VALUES(5, 'another', 9, 0, x'07000000000000000300000000000000', 0);"
    "INSERT INTO clock VALUES(1, 'boot-1', 86400000000000000, 6);"
    "COMMIT; PRAGMA journal_mode=WAL;";

/* What the first upgrade made of it. */
static const char second_format[] =
    "PRAGMA user_version=505;"
    "ALTER TABLE partition ADD COLUMN shares BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE partition ADD COLUMN quota_group INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE partition ADD COLUMN series INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE history ADD COLUMN shares BLOB NOT NULL DEFAULT x'';"
    "CREATE TABLE waiting(id INTEGER PRIMARY KEY, promised_ns INTEGER NOT NULL, asked_ns INTEGER"
    " NOT NULL, give_up_ns INTEGER NOT NULL, spared_ns INTEGER NOT NULL, fixed_wall_ns INTEGER NOT"
    " NULL, fixed INTEGER NOT NULL, priority INTEGER NOT NULL, is_share INTEGER NOT NULL, digits"
    " INTEGER NOT NULL, scale INTEGER NOT NULL, amount_bytes INTEGER NOT NULL, anywhere INTEGER NOT"
    " NULL, barred BLOB NOT NULL, spread INTEGER NOT NULL, preferred BLOB NOT NULL) STRICT;";

static void make_first(const char *also)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    ck_assert_int_eq(sqlite3_open(path_in(directory, STATE_FILE), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, first_format, NULL, NULL, &error) == SQLITE_OK, "%s", error);
    ck_assert_msg(sqlite3_exec(db, also, NULL, NULL, &error) == SQLITE_OK, "%s", error);
    sqlite3_close(db);
}

/* What is in it, also after the upgrade and beside what was written since. */
static void nothing_is_lost(void)
{
    const struct kept_partition *p = kept_find(&kept, 3);
    const struct store_history *ended = &kept.history[0].entry;
    ck_assert_ptr_nonnull(p);
    ck_assert_str_eq(p->p.name, "train");
    ck_assert_uint_eq(p->p.share_count, 1);
    ck_assert_uint_eq(p->p.shares[0].memory_bytes, 5242880);
    ck_assert_int_eq(p->p.end_ns, HOUR_NS);
    ck_assert_int_eq(p->p.creator_pid, 4711);
    ck_assert_uint_eq(p->p.change_seq, 5);
    ck_assert_str_eq(p->keys[0], "key1");
    ck_assert(!waiting_is_set(&p->waiting));
    ck_assert_uint_eq(p->usage.peak_bytes, 11);
    ck_assert_uint_eq(p->usage.gpu_ns, 22);
    ck_assert_uint_eq(kept.history_count, 1);
    ck_assert_uint_eq(ended->partition.id, 2);
    ck_assert_uint_eq(ended->partition.share_count, 1);
    ck_assert_int_eq(ended->how, EVENT_RELEASED);
    ck_assert_uint_eq(ended->by_uid, 1001);
    ck_assert_uint_eq(ended->usage.gpu_ns, 44);
    ck_assert_uint_eq(kept.setting_count, 1);
    ck_assert_uint_eq(kept.guest_count, 1);
    ck_assert_uint_eq(kept.guests[0].uid, 1002);
    ck_assert_str_eq(kept.lines[0].text, "a line");
}

static int format_of_file(void)
{
    struct bytes bytes = slurp(directory, STATE_FILE);
    const unsigned char *at = (const unsigned char *)bytes.at + 60;
    int format = at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
    free(bytes.at);
    return format;
}

/* An older program can still read it: nothing was written. */
START_TEST(reading_changes_nothing)
{
    make_first(_i ? second_format : "");
    struct bytes before = slurp(directory, STATE_FILE);
    ck_assert_msg(try_open(true) == 0, "%s", why.text);
    ck_assert_msg(try_load() == 0, "%s", why.text);
    nothing_is_lost();
    ck_assert_uint_ge(kept.counters.next_id, 9);
    ck_assert_uint_eq(kept.counters.next_seq, 6);
    ck_assert_uint_eq(kept.counters.mount_id, 6);
    ck_assert_uint_eq(kept.reply_count, 1);
    give_devices(2, &boot); /* both are known */
    store = store_close(store);
    struct bytes after = slurp(directory, STATE_FILE);
    ck_assert_uint_eq(before.count, after.count);
    ck_assert_int_eq(memcmp(before.at, after.at, after.count), 0);
    free(before.at);
    free(after.at);
}
END_TEST

START_TEST(upgraded_by_the_first_write)
{
    struct partition p = partition_waits(9, 500, 500 + HOUR_NS, 2);
    struct waiting waiting = waiting_make(500);
    make_first(_i ? second_format : "");
    open_well();
    attempt_wait(&attempt, 6, EVENT_CREATED, &p, &waiting);
    attempt.batch.mount_id = 6;
    ck_assert_msg(commit() == 0, "%s", why.text);
    store = store_close(store);
    ck_assert_int_eq(format_of_file(), STATE_FORMAT);
    open_well(); /* compares the tables with those of a new file */
    nothing_is_lost();
    ck_assert_uint_eq(kept.partition_count, 2);
    same_partition(&kept_find(&kept, 9)->p, &p);
    same_waiting(&kept_find(&kept, 9)->waiting, &waiting);
    ck_assert_uint_eq(kept_find(&kept, 3)->p.arrival, ARRIVAL_NONE);
    struct partition renamed = kept_find(&kept, 3)->p;
    renamed.shares[0].device = 1;
    attempt_add(&attempt, 7, EVENT_RENAMED, &renamed, NULL);
    ck_assert_msg(commit() == 0, "%s", why.text);
}
END_TEST

/* No room for the upgrade: the change is refused, all can still be read, and it is tried again. */
START_TEST(upgrade_that_fails)
{
    struct rlimit limit, low;
    make_first(_i ? second_format : "");
    open_well();
    getrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
    low = limit;
    low.rlim_cur = 1;
    setrlimit(RLIMIT_FSIZE, &low);
    ck_assert_int_lt(create(9 + 1), 0);
    ck_assert(why.text[0] != '\0');
    ck_assert_int_eq(try_load(), 0);
    nothing_is_lost();
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_msg(create(9 + 2) == 0, "%s", why.text);
    open_well();
    nothing_is_lost();
    ck_assert_uint_eq(kept.partition_count, 2);
}
END_TEST

/* Tables with something else in them are not upgraded. */
START_TEST(changed_by_hand)
{
    make_first("ALTER TABLE partition ADD COLUMN shares BLOB NOT NULL DEFAULT x''");
    ck_assert_int_eq(try_open(false), -EBADMSG);
    ck_assert_msg(strstr(why.text, "tables"), "%s", why.text);
}
END_TEST

/* A damaged file is refused as it is. */
START_TEST(damaged)
{
    make_first("UPDATE partition SET mode=-1");
    struct bytes before = slurp(directory, STATE_FILE);
    ck_assert_int_eq(try_open(false), 0);
    ck_assert_int_eq(try_load(), -EBADMSG);
    store = store_close(store);
    struct bytes after = slurp(directory, STATE_FILE);
    ck_assert_uint_eq(before.count, after.count);
    ck_assert_int_eq(memcmp(before.at, after.at, after.count), 0);
    free(before.at);
    free(after.at);
}
END_TEST

int main(void)
{
    const TTest *const of_each[] = {reading_changes_nothing, upgraded_by_the_first_write,
                                    upgrade_that_fails};
    TCase *all = check_case("store-upgrade", fixture_setup, fixture_teardown);
    for (size_t i = 0; i < ARRAY_COUNT(of_each); i++)
        tcase_add_loop_test(all, of_each[i], 0, 2); /* the first and the second format */
    tcase_add_test(all, changed_by_hand);
    tcase_add_test(all, damaged);
    return check_run("store-upgrade", all);
}
