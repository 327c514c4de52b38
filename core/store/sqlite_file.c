/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file as a file: where it is, whether it is ours, how to create it. A new file is
 * created under another name and renamed once complete, so an incomplete state.db can only be
 * damage. It must not know what the tables mean.
 */
#include "sqlite_internal.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_FILE STATE_FILE ".new"

int sqlite_directory(const char *directory, char ret[PATH_MAX], struct message *message)
{
    char path[PATH_MAX];
    int r = 0;
    size_t length = strlen(directory);

    if (length == 0 || length >= sizeof(path))
        return message_set(-EINVAL, message,
                           "The path of the state directory is empty or too long.");
    memcpy(path, directory, length + 1);
    for (char *slash = path + 1; !r && slash;) {
        slash = strchr(slash, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST && access(path, F_OK) != 0)
            r = -errno;
        if (slash)
            *slash++ = '/';
    }
    if (!r && !realpath(directory, ret))
        r = -errno;
    if (!r && strlen(ret) + sizeof(NEW_FILE) + 16 > PATH_MAX)
        r = -ENAMETOOLONG;
    if (!r)
        return 0;
    return message_set(r, message, "The state directory %s cannot be created: %s.", directory,
                       strerror(-r));
}

static void join(char path[PATH_MAX], const char *directory, const char *name)
{
    snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 64, directory, name);
}

int sqlite_format(const char *path, int64_t format, struct message *message)
{
    bool newer = format > STATE_FORMAT;
    if (format == STATE_FORMAT || format == STATE_SECOND || format == STATE_FIRST)
        return 0;
    return message_set(
        -EPROTONOSUPPORT, message,
        "%s has format %lld, written by %s chronosfs; this one reads only formats %d, %d and %d. "
        "It was not changed: start the %s program, or move the file away to start with an empty "
        "state.",
        path, (long long)format, newer ? "a newer" : "an older", STATE_FIRST, STATE_SECOND,
        STATE_FORMAT, newer ? "newer" : "older");
}

/* Check the first bytes (sqlite.org/fileformat2.html, section 1.3). */
static int check_header(const char *path, const unsigned char *header, struct message *message)
{
    uint32_t application, format;
    memcpy(&format, header + 60, 4);
    memcpy(&application, header + 68, 4);
    application = be32toh(application);
    format = be32toh(format);
    if (memcmp(header, "SQLite format 3", 16) != 0)
        return message_set(-EBADMSG, message,
                           "%s is damaged or not a state file. It was not changed: restore a "
                           "backup, or move it away to start with an empty state.",
                           path);
    if (application != STATE_APPLICATION) {
        return message_set(-EBADMSG, message,
                           "%s is the database of another program. It was not changed: use another "
                           "state directory, or move it away.",
                           path);
    }
    if (format != 0 && sqlite_format(path, format, message) < 0)
        return -EPROTONOSUPPORT;
    /* Bytes 18 and 19: SQLite treats unknown versions as read-only. */
    if (format == 0 || header[18] != header[19] || header[18] < 1 || header[18] > 2)
        return message_set(-EBADMSG, message,
                           "%s is damaged: its header says format %u, %d.%d. It was not "
                           "changed: restore a backup, or move it away to start with an empty "
                           "state.",
                           path, format, header[18], header[19]);
    return 1;
}

static int check_missing(const char *directory, int error, struct message *message)
{
    char wal[PATH_MAX];
    struct stat st;

    join(wal, directory, STATE_FILE "-wal");
    if (error == ENOENT && stat(wal, &st) == 0 && st.st_size > 0)
        return message_set(-EBADMSG, message,
                           "%s exists, but the %s that it belongs to is missing. Nothing was "
                           "changed: put the file back, or move the log away, too.",
                           wal, STATE_FILE);
    if (error == ENOENT)
        return 0;
    return message_set(-error, message, "The state in %s cannot be read: %s.", directory,
                       strerror(error));
}

int sqlite_file_check(const char *directory, struct message *message)
{
    char path[PATH_MAX];
    unsigned char header[100];
    struct stat st;

    join(path, directory, STATE_FILE);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return check_missing(directory, errno, message);
    ssize_t n = -1;
    int r = -EIO;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        n = pread(fd, header, sizeof(header), 0);
        r = -errno;
    }
    close(fd);
    if (n < 0)
        return message_set(r, message, "%s cannot be read: %s.", path, strerror(-r));
    if (n < (ssize_t)sizeof(header))
        memset(header, 0, sizeof(header));
    return check_header(path, header, message);
}

static void remove_new(const char *directory)
{
    static const char *const names[] = {NEW_FILE, NEW_FILE "-wal", NEW_FILE "-journal",
                                        NEW_FILE "-shm"};
    char path[PATH_MAX];

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        join(path, directory, names[i]);
        unlink(path);
    }
}

int sqlite_fill(sqlite3 *db)
{
    char text[256];

    snprintf(text, sizeof(text),
             "PRAGMA page_size=%d; PRAGMA synchronous=FULL; PRAGMA journal_mode=DELETE; BEGIN;"
             "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             STATE_PAGE_BYTES, STATE_APPLICATION, STATE_FORMAT);
    int r = sqlite3_exec(db, text, NULL, NULL, NULL);
    if (r == SQLITE_OK)
        r = sqlite_tables_make(db);
    if (r == SQLITE_OK)
        r = sqlite3_exec(db, "COMMIT; PRAGMA journal_mode=WAL;", NULL, NULL, NULL);
    return r;
}

static int sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return r;
}

static int fill_file(const char *path)
{
    sqlite3 *db = NULL;
    /* Create it with 0600: SQLite itself would use the umask. */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    close(fd);
    int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = sqlite_fill(db);
    int code = r == SQLITE_OK ? 0 : sqlite_errno(db, r);
    r = sqlite3_close(db);
    if (!code && r != SQLITE_OK)
        code = -EIO;
    return code ? code : sync_path(path);
}

int sqlite_create(const char *directory, struct message *message)
{
    char from[PATH_MAX], to[PATH_MAX];

    join(from, directory, NEW_FILE);
    join(to, directory, STATE_FILE);
    remove_new(directory);
    int r = fill_file(from);
    if (!r && rename(from, to) != 0)
        r = -errno;
    if (!r)
        r = sync_path(directory);
    if (!r)
        return 0;
    remove_new(directory);
    return message_set(r, message, "Cannot create a state in %s: %s.", directory, strerror(-r));
}

static int copy_file(const char *from, const char *to)
{
    char block[65536];
    ssize_t n;
    int r = 0;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return -errno;
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        r = -errno;
    while (!r && (n = read(in, block, sizeof(block))) != 0) {
        if (n < 0)
            r = -errno;
        else if (write(out, block, (size_t)n) != n)
            r = -ENOSPC;
    }
    if (out >= 0)
        close(out);
    close(in);
    return r;
}

static int copy_both(const char *from_directory, const char *to_directory)
{
    static const char *const names[] = {STATE_FILE, STATE_FILE "-wal"};
    char from[PATH_MAX], to[PATH_MAX];

    for (size_t i = 0; i < 2; i++) {
        join(from, from_directory, names[i]);
        join(to, to_directory, names[i]);
        int r = copy_file(from, to);
        if (r < 0 && !(i == 1 && r == -ENOENT))
            return r;
    }
    return 0;
}

int sqlite_copy(const char *directory, char ret_directory[PATH_MAX])
{
    static const char *const places[] = {"/dev/shm", "/run", "/tmp"};
    int r = -EROFS;

    for (size_t i = 0; r < 0 && i < ARRAY_COUNT(places); i++) {
        join(ret_directory, places[i], "chronosfs-XXXXXX");
        if (!mkdtemp(ret_directory))
            continue;
        r = copy_both(directory, ret_directory);
        if (r < 0)
            sqlite_copy_remove(ret_directory);
    }
    return r;
}

void sqlite_copy_remove(const char *directory)
{
    char path[PATH_MAX];
    static const char *const names[] = {STATE_FILE, STATE_FILE "-wal", STATE_FILE "-shm"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        join(path, directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}
