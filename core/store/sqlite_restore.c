/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make a state of a backup. It is prepared in a directory of its own, with all checks that an
 * opened state passes, and then renamed. The state that was there before is kept beside it.
 */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/hash.h"
#include "sqlite_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG "-wal" /* of a state file, by its name */

struct restore {
    const char *file;       /* the backup */
    const char *directory;  /* of the state */
    char scratch[PATH_MAX]; /* where it is prepared; "": not yet made */
    struct sqlite_trailer trailer;
    struct store_restored *restored;
    struct message *message;
};

static void join(char path[PATH_MAX], const char *directory, const char *name)
{
    snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 64, directory, name);
}

static int no_backup(const struct restore *restore, const char *how)
{
    return message_set(-EBADMSG, restore->message,
                       "%s %s, so nothing was changed: give a file that chronos backup made.",
                       restore->file, how);
}

/* -- from the file to the scratch directory ------------------------------------------- */

static int copy_pages(struct restore *restore, int from, int to, off_t left)
{
    char block[65536];
    uint64_t hash = HASH_START;
    while (left > 0) {
        ssize_t n = read(from, block, left < (off_t)sizeof(block) ? (size_t)left : sizeof(block));
        if (n <= 0)
            return n < 0 ? -errno : no_backup(restore, "is damaged");
        hash = hash_bytes(hash, block, (size_t)n);
        if (write(to, block, (size_t)n) != n)
            return -ENOSPC;
        left -= n;
    }
    return hash == restore->trailer.hash ? 0 : no_backup(restore, "is damaged");
}

static int open_file(struct restore *restore, int *ret_fd, off_t *ret_bytes)
{
    char text[SQLITE_TRAILER_BYTES];
    struct stat st;
    int fd = open(restore->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int r = -errno;
        fd_close(fd);
        return message_set(r, restore->message, "Cannot read %s: %s.", restore->file, strerror(-r));
    }
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022)) {
        close(fd); /* the hash tells damage, not forgery */
        return message_set(-EPERM, restore->message,
                           "Other users can write %s; copy it, check what it is, and restore the "
                           "copy.",
                           restore->file);
    }
    off_t bytes = st.st_size - SQLITE_TRAILER_BYTES;
    if (!S_ISREG(st.st_mode) || bytes <= 0 ||
        pread(fd, text, sizeof(text), bytes) != sizeof(text) ||
        !sqlite_trailer_parse(text, &restore->trailer)) {
        close(fd);
        return no_backup(restore, "is not a backup, or not all of one");
    }
    *ret_fd = fd;
    *ret_bytes = bytes;
    return 0;
}

static int check_machine(const struct restore *restore)
{
    char machine[MACHINE_MAX];
    const char *made_on = restore->trailer.machine;
    sqlite_origin_machine(MACHINE_ID, machine);
    if (!made_on[0] || !machine[0] || strcmp(made_on, machine) == 0)
        return 0;
    return message_set(-EXDEV, restore->message,
                       "%s was made on another machine, so nothing was changed: to continue its "
                       "partitions here, give --any-machine, too.",
                       restore->file);
}

static void remove_scratch(const char *scratch)
{
    DIR *dir = scratch[0] ? opendir(scratch) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    if (scratch[0])
        rmdir(scratch);
}

static int unpack(struct restore *restore, int from, off_t bytes)
{
    char path[PATH_MAX];
    join(restore->scratch, restore->directory, "restore");
    remove_scratch(restore->scratch); /* of one that was killed */
    if (mkdir(restore->scratch, 0700) != 0)
        return -errno;
    join(path, restore->scratch, STATE_FILE);
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = to < 0 ? -errno : copy_pages(restore, from, to, bytes);
    fd_close(to);
    return r;
}

/* -- from the pages to a state ------------------------------------------------------- */

static int count_partition(void *context, const struct store_partition *partition)
{
    struct restore *restore = context;
    (void)partition;
    restore->restored->partitions++;
    return 0;
}

static int ignore_history(void *context, const struct store_history *entry)
{
    (void)context;
    (void)entry;
    return 0;
}

/* The log is a file of its own, so the pages of a backup are without one. */
static int use_log(const struct restore *restore)
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    join(path, restore->scratch, STATE_FILE);
    int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    int code = r == SQLITE_OK ? 0 : sqlite_errno(db, r);
    sqlite3_close(db);
    return code;
}

/* Since a backup of another boot the machine may have been off for long. With the time as seen now,
 * a start counts all of it; not at most a day, because an administrator looks. */
static int64_t seen_ns(const struct store_clock *made, const struct store_clock *now)
{
    int64_t passed_ns = now->now_ns + now->offset_ns - (made->now_ns + made->offset_ns);
    if (strcmp(made->boot_id, now->boot_id) == 0 || passed_ns < 0)
        return made->now_ns;
    return made->now_ns < STORE_UPTIME_MAX - passed_ns ? made->now_ns + passed_ns
                                                       : STORE_UPTIME_MAX;
}

static int continue_from(const struct restore *restore, struct sqlite_store *store,
                         const struct store_clock *now)
{
    sqlite3_stmt *statement = NULL;
    store->id_fd = fd_close(store->id_fd); /* of the scratch directory */
    uint64_t next_id = sqlite_origin_restored(store, restore->directory, restore->trailer.lineage);
    int r = sqlite3_prepare_v2(store->db,
                               "UPDATE log SET head_next_id=?1, head_seen_ns=?2 WHERE seq=?3", -1,
                               &statement, NULL);
    if (r == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, (int64_t)next_id);
        sqlite3_bind_int64(statement, 2, seen_ns(&store->clock.clock, now));
        sqlite3_bind_int64(statement, 3, store->head.seq);
        r = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return r == SQLITE_DONE ? 0 : sqlite_errno(store->db, r);
}

/* Check it as a start does, and let it go on from now. */
static int prepare(struct restore *restore)
{
    const struct store_sink sink = {.context = restore,
                                    .partition = count_partition,
                                    .history = ignore_history,
                                    .max_history = SIZE_MAX};
    struct store_counters counters;
    struct store_clock now;
    struct store *store = NULL;
    int r = use_log(restore);
    if (!r)
        r = store_clock_now(&now);
    if (!r)
        r = store_sqlite.open(restore->scratch, true, &store, restore->message);
    if (!r)
        r = store_load(store, &now, &sink, &counters, restore->message);
    if (!r)
        r = continue_from(restore, (struct sqlite_store *)store, &now);
    store_close(store);
    if (r == -EBADMSG)
        return no_backup(restore, "is damaged");
    if (r == -EPROTONOSUPPORT)
        return message_set(r, restore->message,
                           "%s was made by another version of chronosfs, so nothing was changed: "
                           "restore it with that version.",
                           restore->file);
    return r;
}

/* -- into place ------------------------------------------------------------------------ */

static int sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) != 0 ? -errno : 0;
    fd_close(fd);
    return r;
}

/* Move what is in the log of a state into its file, so that the file alone is all of it. -ENOENT:
 * there is no file; -EBADMSG or -EIO: it cannot be read. */
static int fold_log(const char *state)
{
    sqlite3 *db = NULL;
    if (access(state, F_OK) != 0)
        return -errno;
    int r = sqlite3_open_v2(state, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = sqlite_configure(db);
    if (r == SQLITE_OK) /* SQLite finds the log when it reads */
        r = sqlite3_exec(db, "PRAGMA user_version", NULL, NULL, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    int code = r == SQLITE_OK ? 0 : sqlite_errno(db, r);
    if (db) /* none without memory */
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, code != 0, NULL);
    sqlite3_close(db);
    return code;
}

/* Return 1 if `name` is free, or another name of the file `of` since a restore that was killed; 0
 * if it is not; -errno if that cannot be seen. */
static int is_free(const char *name, const char *of)
{
    struct stat st, other;
    if (lstat(name, &st) != 0)
        return errno == ENOENT ? 1 : -errno;
    return lstat(of, &other) == 0 && st.st_dev == other.st_dev && st.st_ino == other.st_ino;
}

static int add_name(const char *file, const char *name)
{
    return link(file, name) == 0 || errno == ENOENT || errno == EEXIST ? 0 : -errno;
}

/* Give the old state a second name that no state before it has. */
static int name_old(struct restore *restore, const char *state, const char *log)
{
    char *old = restore->restored->replaced, old_log[PATH_MAX];
    int is_new = 0;
    for (unsigned n = 1; is_new == 0; n++) {
        char name[32];
        snprintf(name, sizeof(name), n == 1 ? STATE_FILE ".old" : STATE_FILE ".old.%u", n);
        join(old, restore->directory, name);
        join(old_log, restore->directory, strcat(name, LOG));
        is_new = is_free(old, state);
        if (is_new > 0)
            is_new = is_free(old_log, log);
    }
    if (is_new < 0)
        return is_new;
    int r = add_name(state, old);
    if (!r)
        r = add_name(log, old_log);
    if (access(old, F_OK) != 0)
        old[0] = '\0';
    return r ? r : sync_path(restore->directory);
}

/* SQLite would write a log that lies there over the new state. A log that cannot be moved into its
 * file goes away with its second name kept: nothing is lost at any moment, because a start refuses
 * that file. */
static int keep_old(struct restore *restore)
{
    char state[PATH_MAX], log[PATH_MAX];
    join(state, restore->directory, STATE_FILE);
    join(log, restore->directory, STATE_FILE LOG);
    int r = fold_log(state);
    if (r && r != -ENOENT && r != -EBADMSG && r != -EIO)
        return r;
    r = name_old(restore, state, log);
    return r || unlink(log) == 0 || errno == ENOENT ? r : -errno;
}

static int put_in_place(struct restore *restore)
{
    char from[PATH_MAX], to[PATH_MAX];
    join(from, restore->scratch, STATE_FILE);
    join(to, restore->directory, STATE_FILE);
    int r = fold_log(from);
    if (!r)
        r = sync_path(from);
    if (!r)
        r = keep_old(restore);
    if (!r && rename(from, to) != 0)
        r = -errno;
    return r ? r : sync_path(restore->directory);
}

int store_restore(const char *file, const char *directory, bool any_machine,
                  struct store_restored *ret_restored, struct message *message)
{
    struct store_restored restored = {0};
    struct restore restore = {
        .file = file, .directory = directory, .restored = &restored, .message = message};
    off_t bytes = 0;
    int fd = -1;
    message->text[0] = '\0';
    int r = open_file(&restore, &fd, &bytes);
    if (!r && !any_machine)
        r = check_machine(&restore);
    if (!r && !any_machine)
        r = sqlite_origin_check(directory, message);
    if (!r)
        r = unpack(&restore, fd, bytes);
    if (!r)
        r = prepare(&restore);
    if (!r)
        r = put_in_place(&restore);
    fd_close(fd);
    remove_scratch(restore.scratch);
    if (r && !message->text[0])
        return message_set(r, message, "Cannot restore %s to %s: %s.", file, directory,
                           strerror(-r));
    if (r)
        return r;
    if (any_machine)
        sqlite_origin_forget_machine(directory);
    restored.made_wall_ns = restore.trailer.made_wall_ns;
    *ret_restored = restored;
    return 0;
}
