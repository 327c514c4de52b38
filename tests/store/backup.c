/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups, and states made of them: everything is kept, ids go on whatever was lost, and no damaged
 * file is taken.
 */
#include "fixture.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char aside[PATH_MAX]; /* where backups are */
static struct store_restored restored;

static void setup(void)
{
    fixture_setup();
    scratch_make(aside);
}

static void teardown(void)
{
    fixture_teardown();
    directory_remove(aside);
}

static void backup(const char *name)
{
    int fd = open(path_in(aside, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct store_copy *copy;
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(store_copy(store, &copy, &why) == 0, "%s", why.text);
    ck_assert_msg(store_copy_write(copy, fd, &why) == 0, "%s", why.text);
    ck_assert_ptr_null(store_copy_free(copy));
    close(fd);
}

static int restore(const char *name, bool any_machine)
{
    store = store_close(store);
    why.text[0] = '\0';
    return store_restore(path_in(aside, name), directory, any_machine, &restored, &why);
}

static void restore_well(const char *name)
{
    ck_assert_msg(restore(name, false) == 0, "%s", why.text);
}

static void refused(const char *name, int code, const char *words)
{
    ck_assert_int_eq(restore(name, false), code);
    ck_assert_msg(strstr(why.text, words), "%s", why.text);
    ck_assert_msg(strstr(why.text, name), "%s", why.text);
    struct stat st;
    ck_assert_int_ne(stat(path_in(directory, "restore"), &st), 0);
}

static void new_directory(void)
{
    store = store_close(store);
    directory_remove(directory);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
}

/* Create `count` partitions, and return the id of the last. */
static uint64_t give(unsigned count)
{
    uint64_t id = 0;
    open_well();
    for (unsigned i = 0; i < count; i++) {
        id = kept.counters.next_id++;
        struct partition p = partition_make(id, 0, HOUR_NS);
        attempt_add(&attempt, kept.counters.next_seq++, EVENT_CREATED, &p, "created");
        ck_assert_msg(commit() == 0, "%s", why.text);
    }
    store_settle(store);
    return id;
}

/* Everything comes back, also what is only in the log, and what was there is kept. */
START_TEST(all_of_it)
{
    struct stat st;
    fill();
    ck_assert_int_eq(try_open(true), 0);
    ck_assert_int_eq(try_load(), 0);
    backup("one");
    store = store_close(store);
    unlink(path_in(directory, STATE_FILE));
    restore_well("one");
    ck_assert_str_eq(restored.replaced, "");
    ck_assert_uint_eq(restored.partitions, 20);
    int64_t age_ns = clock_realtime_ns() - restored.made_wall_ns;
    ck_assert(age_ns >= 0 && age_ns < HOUR_NS);
    open_well();
    as_filled();
    struct bytes state = slurp(directory, STATE_FILE);
    ck_assert_int_eq(state.at[18], 2); /* with a log, as one that was created */
    free(state.at);
    ck_assert_int_eq(stat(path_in(directory, STATE_FILE), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    /* A log that the daemon left must not be written over the restored state. */
    create(200);
    struct bytes log = slurp(directory, STATE_FILE "-wal");
    ck_assert_uint_gt(log.count, 0);
    store = store_close(store);
    spill(directory, STATE_FILE "-wal", &log);
    free(log.at);
    restore_well("one");
    ck_assert_str_eq(restored.replaced, path_in(directory, STATE_FILE ".old"));
    ck_assert_int_ne(stat(path_in(directory, STATE_FILE ".old-wal"), &st), 0);
    ck_assert_int_ne(stat(path_in(directory, STATE_FILE "-wal"), &st), 0);
    open_well();
    ck_assert_uint_eq(kept.partition_count, 20);
}
END_TEST

/* A state in memory has no log; one made of its backup has. */
START_TEST(of_memory)
{
    struct bytes state;
    store = store_close(store);
    ck_assert_int_eq(store_memory.open(directory, false, &store, &why), 0);
    ck_assert_int_eq(try_load(), 0);
    give_devices(2, &boot);
    ck_assert_int_eq(create(1), 0);
    backup("memory");
    restore_well("memory");
    state = slurp(directory, STATE_FILE);
    ck_assert_int_eq(state.at[18], 2);
    free(state.at);
    open_well();
    ck_assert_uint_eq(kept.partition_count, 1);
}
END_TEST

/* The ids that the lost state gave are not given again. */
START_TEST(ids_go_on)
{
    ck_assert_uint_eq(give(3), 3);
    backup("old");
    ck_assert_uint_eq(give(4), 7);
    /* In the directory that gave them the last one is known. */
    restore_well("old");
    ck_assert_uint_eq(give(1), 8);
    restore_well("old");
    ck_assert_uint_eq(give(1), 9);
    backup("later");
    restore_well("old");
    restore_well("later");
    ck_assert_uint_eq(give(1), 10);
    /* A lost directory: more are left out than can have been given. */
    new_directory();
    restore_well("old");
    uint64_t id = give(2);
    ck_assert_uint_gt(id, STATE_ID_JUMP);
    /* It is known again from then on. */
    backup("after");
    ck_assert_uint_eq(give(1), id + 1);
    restore_well("after");
    ck_assert_uint_eq(give(1), id + 2);
    /* A new state that began at 1 says nothing about the ids of the backup. */
    new_directory();
    ck_assert_uint_eq(give(5), 5);
    restore_well("old");
    ck_assert_uint_gt(give(1), STATE_ID_JUMP);
    /* And one that has given more than the backup hides stays ahead. */
    restore_well("later");
    id = give(1);
    restore_well("old");
    ck_assert_uint_gt(give(1), id);
}
END_TEST

/* After a reboot all the time since the backup counts, within the same boot the clock does. */
START_TEST(time_since_the_backup)
{
    struct store_clock now, made;
    ck_assert_int_eq(store_clock_now(&now), 0);
    for (int rebooted = 0; rebooted < 2; rebooted++) {
        made = now;
        if (rebooted) {
            snprintf(made.boot_id, sizeof(made.boot_id), "another-boot");
            made.offset_ns -= 3 * DAY_NS; /* made three days ago */
        }
        new_directory();
        ck_assert_int_eq(try_open(true), 0);
        ck_assert_int_eq(kept_load(&kept, store, &made, 1000, &why), 0);
        give_devices(1, &made);
        struct partition ended = partition_make(1, made.now_ns, made.now_ns + 2 * DAY_NS);
        struct partition goes_on = partition_make(2, made.now_ns, made.now_ns + 5 * DAY_NS);
        attempt_add(&attempt, 1, EVENT_CREATED, &ended, "created");
        attempt_add(&attempt, 2, EVENT_CREATED, &goes_on, "created");
        ck_assert_msg(commit() == 0, "%s", why.text);
        backup("then");
        new_directory();
        restore_well("then");
        ck_assert_int_eq(try_open(true), 0);
        ck_assert_int_eq(kept_load(&kept, store, &now, 1000, &why), 0);
        int64_t left_ns[2];
        for (uint64_t id = 1; id <= 2; id++)
            left_ns[id - 1] = kept_find(&kept, id)->p.end_ns - now.now_ns;
        int64_t passed_ns = rebooted ? 3 * DAY_NS : 0;
        ck_assert_int_le(left_ns[0], 2 * DAY_NS - passed_ns + HOUR_NS);
        ck_assert_int_ge(left_ns[0], 2 * DAY_NS - passed_ns - HOUR_NS);
        ck_assert_int_eq(left_ns[1] - left_ns[0], 3 * DAY_NS);
    }
}
END_TEST

/* A file that lacks anything, or has a changed bit anywhere, changes nothing. */
START_TEST(damaged_files)
{
    give(2);
    backup("good");
    give(1);
    struct bytes good = slurp(aside, "good");
    store = store_close(store);
    struct bytes before = slurp(directory, STATE_FILE);
    for (size_t count = 0; count < good.count; count += count < 200 ? 67 : 4093) {
        struct bytes part = {good.at, count};
        spill(aside, "part", &part);
        refused("part", -EBADMSG, "not a backup");
    }
    for (size_t at = 0; at < good.count; at += 997) {
        good.at[at] ^= 0x10;
        spill(aside, "flipped", &good);
        good.at[at] ^= 0x10;
        refused("flipped", -EBADMSG, "nothing was changed");
    }
    ck_assert_int_eq(mkdir(path_in(aside, "folder"), 0700), 0);
    refused("folder", -EBADMSG, "not a backup");
    ck_assert_int_eq(rmdir(path_in(aside, "folder")), 0);
    ck_assert_int_eq(mkfifo(path_in(aside, "pipe"), 0600), 0);
    refused("pipe", -EBADMSG, "not a backup");
    refused("nothing", -ENOENT, "No such file");
    ck_assert_int_eq(chmod(path_in(aside, "good"), 0666), 0); /* the hash is no signature */
    refused("good", -EPERM, "Other users can write");
    struct bytes after = slurp(directory, STATE_FILE);
    ck_assert_uint_eq(after.count, before.count);
    ck_assert_int_eq(memcmp(after.at, before.at, after.count), 0);
    ck_assert_uint_eq(give(1), 4);
    free(good.at);
    free(before.at);
    free(after.at);
}
END_TEST

START_TEST(machines)
{
    char mine[MACHINE_MAX];
    struct sqlite_trailer trailer;
    sqlite_origin_machine(MACHINE_ID, mine);
    if (mine[0] == '\0') {
        fprintf(stderr, "no machine-id: left out\n");
        return;
    }
    give(2);
    backup("mine");
    struct bytes bytes = slurp(aside, "mine");
    char *last = bytes.at + bytes.count - SQLITE_TRAILER_BYTES;
    char text[SQLITE_TRAILER_BYTES + 1];
    ck_assert(sqlite_trailer_parse(last, &trailer));
    ck_assert_str_eq(trailer.machine, mine);
    memcpy(trailer.machine, "0123456789abcdef", 17);
    sqlite_trailer_print(&trailer, text);
    memcpy(last, text, SQLITE_TRAILER_BYTES);
    spill(aside, "other", &bytes);
    free(bytes.at);
    refused("other", -EXDEV, "--any-machine");
    ck_assert_int_eq(restore("other", true), 0);
    ck_assert_uint_eq(give(1), 3);
    /* The directory of another machine. */
    struct bytes other = {trailer.machine, 16};
    store = store_close(store);
    spill(directory, "machine", &other);
    ck_assert_int_eq(restore("mine", false), -EXDEV);
    ck_assert_int_eq(restore("mine", true), 0);
    ck_assert_uint_eq(give(1), 4);
}
END_TEST

/* A backup of a format that this program does not read. */
START_TEST(another_format)
{
    struct sqlite_trailer trailer;
    char text[SQLITE_TRAILER_BYTES + 1];
    give(1);
    backup("later");
    struct bytes bytes = slurp(aside, "later");
    size_t pages = bytes.count - SQLITE_TRAILER_BYTES;
    bytes.at[60]++; /* the highest byte of the format */
    ck_assert(sqlite_trailer_parse(bytes.at + pages, &trailer));
    trailer.hash = hash_bytes(HASH_START, bytes.at, pages);
    sqlite_trailer_print(&trailer, text);
    memcpy(bytes.at + pages, text, SQLITE_TRAILER_BYTES);
    spill(aside, "later", &bytes);
    free(bytes.at);
    refused("later", -EPROTONOSUPPORT, "another version");
    ck_assert_uint_eq(give(1), 2);
}
END_TEST

int main(void)
{
    return check_main("store-backup", setup, teardown, all_of_it, of_memory, ids_go_on,
                      time_since_the_backup, damaged_files, machines, another_format);
}
