/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite store on disks that fail: full, read-only, of another user, in use by another
 * process, or with failing syncs.
 */
#include "fixture.h"
#include "tests/check.h"

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

/* Run `body` in a child with a small tmpfs on `directory`. Skipped where that is not permitted. */
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

/* Check's own assertions in the child would not reach the parent. */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x, why.text);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Fill the disk up to `left` bytes. */
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
    int r = 0;
    MUST(try_open(true) == 0 && try_load() == 0);
    give_devices(2, &boot);
    MUST(create(id) == 0);
    take_room(16 * 4096);
    /* The log has room, but the checkpoint finds none. */
    for (id = 2; id < 20000 && (r = create(id)) == 0; id++)
        continue;
    MUST(r == -ENOSPC || r == -EIO);
    MUST(strstr(why.text, "nothing was changed"));
    for (int i = 0; i < 5; i++)
        MUST(create(id) < 0);
    MUST(try_load() == 0 && kept.partition_count == id - 1); /* reads still work */
    unlink(path_in(directory, "ballast"));
    MUST(create(id) == 0); /* and so do writes, once there is room */
    MUST(create(id + 1) == 0);
    reload_has(id + 1);
    give_devices(2, &boot);
    take_room(0);
    reload_has(id + 1); /* opening a full disk */
    unlink(path_in(directory, "ballast"));
    give_devices(2, &boot);
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
    MUST(why.text[0] != '\0');
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
    /* A killed daemon leaves its last commits only in the log. */
    pid_t child = fork();
    if (child == 0) {
        MUST(try_open(true) == 0 && try_load() == 0);
        give_devices(2, &boot);
        for (uint64_t id = 1; id <= 10; id++)
            MUST(create(id) == 0);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child && status == 0);
    remount(MS_RDONLY);
    MUST(try_open(true) == 0 && try_load() == 0);
    MUST(kept.partition_count == 10);
    give_devices(2, &boot);
    MUST(create(11) == -EROFS && why.text[0] != '\0');
    MUST(create(11) == -EROFS);
    MUST(try_load() == 0 && kept.partition_count == 10);
    remount(0);
    MUST(create(11) == 0);
    reload_has(11);
    give_devices(2, &boot);
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

/* A file may not grow, as under a quota. */
START_TEST(file_may_not_grow)
{
    struct rlimit limit;
    uint64_t id = 1;
    int r = 0;
    signal(SIGXFSZ, SIG_IGN);
    open_well();
    ck_assert_int_eq(create(id), 0);
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t old = limit.rlim_cur;
    limit.rlim_cur = 64 * 4096; /* the log is longer already, so not a single byte can be written */
    setrlimit(RLIMIT_FSIZE, &limit);
    for (id = 2; id < 20000 && (r = create(id)) == 0; id++)
        continue;
    ck_assert_msg(r == -EFBIG || r == -EIO || r == -ENOSPC, "%d", r);
    ck_assert_int_lt(create(id), 0);
    limit.rlim_cur = old;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(create(id), 0);
    open_well();
    ck_assert_uint_eq(kept.partition_count, id);
}
END_TEST

/* An ordinary user opens a directory of another user. */
static void as_nobody(int expected_open, int expected_commit)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        MUST(setgid(65534) == 0 && setuid(65534) == 0);
        MUST(try_open(true) == expected_open && (expected_open == 0 || why.text[0] != '\0'));
        if (expected_open == 0) {
            MUST(try_load() == 0 && kept.partition_count == 20);
            give_devices(2, &boot);
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
    as_nobody(-EACCES, 0); /* nothing exists, nothing can be created */
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
    ck_assert_msg(strstr(why.text, "another program"), "%s", why.text);
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
    int r = real_open(vfs, name, file, flags, ret_flags);
    if (r == SQLITE_OK && file->pMethods) {
        real_methods = file->pMethods;
        sqlite3_io_methods *bad = &bad_methods[flags & SQLITE_OPEN_MAIN_DB ? 0 : 1];
        *bad = *real_methods;
        bad->xSync = bad_sync;
        bad->xWrite = bad_write;
        file->pMethods = bad;
    }
    return r;
}

static void use_bad_disk(void)
{
    static sqlite3_vfs bad;
    syncs_fail = writes_fail = false;
    if (real_open)
        return;
    bad = *sqlite3_vfs_find(NULL);
    real_open = bad.xOpen;
    bad.xOpen = bad_open;
    bad.zName = "bad";
    sqlite3_vfs_register(&bad, 1);
}

/* A kill -9 at this moment must leave `partitions`. */
static void killed_now_has(uint64_t partitions)
{
    char copy[PATH_MAX], live_directory[PATH_MAX];
    struct store *live_store = store;
    scratch_make(copy);
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
    /* Long enough for SQLite to restart the log now and then. */
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
        ck_assert_msg(create(id) == 0, "%d: %s", (int)id, why.text);
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

/* Partitions that end at once; the last commit drops all that is old. */
static void lives(uint64_t first, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t seq = first + 2 * (uint64_t)i;
        struct partition p = partition_make(seq, 0, 5);
        attempt_add(&attempt, seq, EVENT_CREATED, &p, "c");
        attempt_add(&attempt, seq + 1, EVENT_EXPIRED, &p, "e");
        attempt.batch.retention_ns = i + 1 == count ? 0 : INT64_MAX;
        attempt.events[0].at_ns = attempt.events[1].at_ns = HOUR_NS;
        ck_assert_msg(commit() == 0, "%s", why.text);
    }
}

static int second_sync_fails(sqlite3_file *file, int flags)
{
    static int calls;
    return ++calls == 2 ? SQLITE_IOERR_FSYNC : real_methods->xSync(file, flags);
}

/* A commit that is durable stays so, whatever happens to the pruning after it. */
START_TEST(pruning_fails)
{
    use_bad_disk();
    open_well();
    lives(1, 50);
    store = store_close(store);
    open_well();
    ck_assert_uint_le(kept.history_count, 1);
    for (uint64_t seq = 101; seq < 200; seq += 2) {
        struct partition p = partition_make(seq, 0, 5);
        attempt_add(&attempt, seq, EVENT_CREATED, &p, "c");
        attempt_add(&attempt, seq + 1, EVENT_EXPIRED, &p, "e");
        ck_assert_int_eq(commit(), 0);
    }
    bad_methods[1].xSync = second_sync_fails; /* the first is that of the commit */
    lives(201, 1);
    bad_methods[1].xSync = bad_sync;
    ck_assert_int_eq(create(203), 0);
    killed_now_has(1);
    open_well();
    ck_assert_uint_ge(kept.history_count, 51);
    lives(204, 1); /* and it is tried again */
    open_well();
    ck_assert_uint_le(kept.history_count, 1);
}
END_TEST

/* The small files beside the state cannot be written: it works all the same. */
static void no_inodes(void)
{
    char name[32];
    MUST(try_open(true) == 0 && try_load() == 0);
    give_devices(2, &boot);
    MUST(create(1) == 0);
    store = store_close(store);
    unlink(path_in(directory, "last_id"));
    unlink(path_in(directory, "machine"));
    for (int i = 0, fd = 0; fd >= 0; i++) {
        snprintf(name, sizeof(name), "file%d", i);
        fd = open(path_in(directory, name), O_WRONLY | O_CREAT, 0600);
        if (fd >= 0)
            close(fd);
    }
    unlink(path_in(directory, "file0")); /* for the log */
    MUST(try_open(true) == 0 && try_load() == 0);
    MUST(kept.partition_count == 1 && kept.counters.next_id > STATE_ID_JUMP);
    give_devices(2, &boot);
    MUST(create(kept.counters.next_id) == 0);
    store = store_close(store);
}

START_TEST(no_room_for_more_files)
{
    on_small_disk("size=16m,nr_inodes=40", no_inodes);
}
END_TEST

int main(void)
{
    return check_main("store-disk", fixture_setup, fixture_teardown, disk_gets_full,
                      disk_is_full_at_first, disk_is_read_only, file_may_not_grow, not_allowed,
                      used_by_another_process, each_commit_is_synced, syncs_that_fail,
                      first_sync_fails, pruning_fails, no_room_for_more_files);
}
