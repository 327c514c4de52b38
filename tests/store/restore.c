/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore keeps: killed at any system call it has left the state before it or the restored
 * one, and every state that was there can be had again.
 */
#include "fixture.h"

#include "core/base/hash.h"
#include "tests/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The state before the restore: 20 partitions in its file, and one more in its log alone. */
#define BEFORE 21
#define BACKUP 3 /* partitions in the backup */

static char aside[PATH_MAX]; /* where the backup is */
static char backup[PATH_MAX];
static char killed_at[PATH_MAX]; /* what a restore that was killed has left */
static struct store_restored restored;

static void setup(void)
{
    fixture_setup();
    scratch_make(aside);
    scratch_make(killed_at);
}

static void teardown(void)
{
    fixture_teardown();
    directory_remove(aside);
    directory_remove(killed_at);
}

/* Make a backup of a state with BACKUP partitions, which is gone afterwards. */
static void make_backup(void)
{
    struct store_copy *copy;
    snprintf(backup, sizeof(backup), "%s", path_in(aside, "backup"));
    int fd = open(backup, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    open_well();
    for (uint64_t id = 1; id <= BACKUP; id++)
        ck_assert_int_eq(create(id), 0);
    ck_assert_msg(store_copy(store, &copy, &why) == 0, "%s", why.text);
    ck_assert_msg(store_copy_write(copy, fd, &why) == 0, "%s", why.text);
    ck_assert_ptr_null(store_copy_free(copy));
    close(fd);
    store = store_close(store);
    directory_remove(directory);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
}

static void restore(void)
{
    ck_assert_msg(store_restore(backup, directory, false, &restored, &why) == 0, "%s", why.text);
}
static const char *const state_names[] = {STATE_FILE,
                                          STATE_FILE "-wal",
                                          STATE_FILE ".old",
                                          STATE_FILE ".old.2",
                                          STATE_FILE ".old.2-wal",
                                          STATE_FILE ".old.3",
                                          "last_id"};
#define NAMES ARRAY_COUNT(state_names)

static void copy_names(const char *from, const char *to, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct bytes bytes = slurp(from, names[i]);
        unlink(path_in(to, names[i]));
        if (bytes.at)
            spill(to, names[i], &bytes);
        free(bytes.at);
    }
}

/* How many partitions the state in `where` has under this name. The file stays as it is. */
static size_t count_in(const char *where, const char *name)
{
    char saved[PATH_MAX];
    struct bytes state = slurp(where, name), log;
    char log_name[64];
    snprintf(log_name, sizeof(log_name), "%s-wal", name);
    log = slurp(where, log_name);
    memcpy(saved, directory, sizeof(saved));
    scratch_make(directory);
    ck_assert_ptr_nonnull(state.at);
    spill(directory, STATE_FILE, &state);
    if (log.at)
        spill(directory, STATE_FILE "-wal", &log);
    free(state.at);
    free(log.at);
    open_well();
    store = store_close(store);
    directory_remove(directory);
    memcpy(directory, saved, sizeof(saved));
    return kept.partition_count;
}

static uint64_t content(void)
{
    uint64_t hash = HASH_START;
    for (size_t i = 0; i < NAMES; i++) {
        struct bytes bytes = slurp(directory, state_names[i]);
        hash = hash_bytes(hash, &bytes.count, sizeof(bytes.count));
        hash = bytes.at ? hash_bytes(hash, bytes.at, bytes.count) : hash + 1;
        free(bytes.at);
    }
    return hash;
}

/* The state is the one before or the backup, never a part, and the one before is not lost. */
static void check_killed(void)
{
    copy_names(directory, killed_at, state_names, NAMES);
    struct bytes first = slurp(killed_at, STATE_FILE ".old");
    ck_assert(first.count == 5 && memcmp(first.at, "first", 5) == 0);
    free(first.at);
    size_t now = count_in(killed_at, STATE_FILE);
    if (now == BEFORE)
        return;
    ck_assert_uint_eq(now, BACKUP);
    ck_assert_uint_eq(count_in(killed_at, STATE_FILE ".old.2"), BEFORE);
}

/* A state as a daemon that was killed leaves it, and an older one beside it. */
static void leave_state(void)
{
    struct bytes first = {(char[]){"first"}, 5};
    fill();
    open_well();
    ck_assert_int_eq(create(24), 0);
    copy_names(directory, killed_at, state_names, 2);
    store = store_close(store);
    copy_names(killed_at, directory, state_names, 2);
    spill(directory, STATE_FILE ".old", &first);
    struct bytes state = slurp(directory, STATE_FILE);
    ck_assert_ptr_nonnull(state.at);
    free(state.at);
}

/* Restore in a child that stops at each system call. Returns how often the files had changed. */
static unsigned watch_restore(void (*check_now)(void))
{
    int status;
    unsigned changes = 0;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(store_restore(backup, directory, false, &restored, &why) == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL), 0);
    uint64_t before = content();
    while (WIFSTOPPED(status)) {
        uint64_t now = content();
        if (now != before) {
            check_now();
            changes++;
        }
        before = now;
        ck_assert_int_eq(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
    }
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    return changes;
}

START_TEST(killed_anywhere)
{
    make_backup();
    leave_state();
    ck_assert_uint_eq(count_in(directory, STATE_FILE), BEFORE);
    ck_assert_uint_ge(watch_restore(check_killed), 4);
    check_killed();
    ck_assert_uint_eq(count_in(directory, STATE_FILE), BACKUP);
    /* Again: what was kept stays, and this one is beside it. */
    restore();
    ck_assert_str_eq(restored.replaced, path_in(directory, STATE_FILE ".old.3"));
    check_killed();
}
END_TEST

/* A state that cannot be read is kept as it is, with its log, under names that are free. */
START_TEST(damaged_state)
{
    struct bytes garbage = {(char[200]){"garbage"}, 200}, log = {(char[100]){"log"}, 100};
    make_backup();
    spill(directory, STATE_FILE ".old-wal", &log);
    for (int round = 2; round <= 3; round++) {
        char name[32];
        spill(directory, STATE_FILE, &garbage);
        spill(directory, STATE_FILE "-wal", &log);
        restore();
        snprintf(name, sizeof(name), STATE_FILE ".old.%d", round);
        ck_assert_str_eq(restored.replaced, path_in(directory, name));
        struct bytes kept_state = slurp(directory, name);
        struct bytes kept_log = slurp(directory, strcat(name, "-wal"));
        ck_assert(kept_state.count == 200 && memcmp(kept_state.at, garbage.at, 200) == 0);
        ck_assert(kept_log.count == 100 && memcmp(kept_log.at, log.at, 100) == 0);
        free(kept_state.at);
        free(kept_log.at);
        ck_assert_uint_eq(count_in(directory, STATE_FILE), BACKUP);
    }
}
END_TEST

int main(void)
{
    return check_main("store-restore", setup, teardown, killed_anywhere, damaged_state);
}
