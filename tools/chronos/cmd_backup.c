/* SPDX-License-Identifier: Apache-2.0 */
/* chronos backup: copy the file `backup` of the tree to a file, whole or not at all. */
#include "command.h"
#include "core/base/fd.h"
#include "core/base/hash.h"
#include "failure.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES     5 /* a daemon that is replaced begins again */
#define LAST_LINE 128

static char block[1 << 17];

/* The file that is written. Its directory is looked up once: another user may own a part of the
 * path, and move it. */
struct target {
    const char *path;
    const char *name; /* the end of the path; NULL: standard output, from a file in memory */
    char scratch[NAME_MAX + 1]; /* its name until it is complete */
    int directory, fd;
};

static int copy(int from, int to)
{
    for (;;) {
        ssize_t n = read(from, block, sizeof(block));
        if (n <= 0)
            return n < 0 ? -errno : 0;
        for (ssize_t done = 0, w; done < n; done += w) {
            w = write(to, block + done, (size_t)(n - done));
            if (w < 0)
                return -errno;
        }
    }
}

/* The last line ends with a hash of everything before it. A daemon that was replaced in the middle
 * can have given parts of two backups: -ESTALE. */
static int check(int fd)
{
    char line[LAST_LINE + 1] = "";
    uint64_t wanted = 0, hash = HASH_START;
    off_t left = lseek(fd, 0, SEEK_END) - LAST_LINE;
    const char *equals =
        left > 0 && pread(fd, line, LAST_LINE, left) == LAST_LINE ? strstr(line, " hash=") : NULL;
    if (!equals || sscanf(equals, " hash=%16" SCNx64, &wanted) != 1)
        return -ESTALE;
    for (off_t at = 0; at < left;) {
        size_t length = left - at < (off_t)sizeof(block) ? (size_t)(left - at) : sizeof(block);
        ssize_t n = pread(fd, block, length, at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        hash = hash_bytes(hash, block, (size_t)n);
        at += n;
    }
    return hash == wanted ? 0 : -ESTALE;
}

static int fetch(const struct chronos_mount *mount, int to)
{
    int r = -ESTALE;
    for (int tries = 0; r == -ESTALE && tries < TRIES; tries++) {
        int from = chronos_open(mount->root, "backup", O_RDONLY);
        if (from < 0)
            return from;
        r = ftruncate(to, 0) == 0 && lseek(to, 0, SEEK_SET) == 0 ? copy(from, to) : -errno;
        close(from);
        if (!r)
            r = check(to);
    }
    return r;
}

/* Return an exit code. */
static int cannot_write(const struct target *target, int r)
{
    output_message("Cannot write %s: %s.", target->path, strerror(-r));
    return EXIT_REFUSED;
}

/* A pipe cannot take back the beginning of a backup that a replaced daemon begins again. */
static int make_for_output(struct target *target)
{
    if (isatty(STDOUT_FILENO)) {
        output_message("A backup is no text for a terminal: name a file, or send it to one.");
        return EXIT_REFUSED;
    }
    target->fd = memfd_create("backup", MFD_CLOEXEC);
    return target->fd < 0 ? cannot_write(target, -errno) : EXIT_DONE;
}

static int open_directory(const char *path, const char **ret_name)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *ret_name = slash ? slash + 1 : path;
    if (strlen(path) >= sizeof(directory)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(directory, sizeof(directory), "%.*s", (int)(*ret_name - path), path);
    return open(directory[0] ? directory : ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
}

/* The name stays free until the file is complete: an older backup is not lost to a full disk. */
static int make(struct target *target)
{
    struct stat st;
    uint64_t random = 0;
    target->directory = open_directory(target->path, &target->name);
    if (target->directory < 0)
        return cannot_write(target, -errno);
    if (!target->name[0] ||
        (fstatat(target->directory, target->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
         !S_ISREG(st.st_mode))) {
        output_message("%s is not a plain file; name the file to write.", target->path);
        return EXIT_REFUSED;
    }
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return cannot_write(target, -errno);
    int length =
        snprintf(target->scratch, sizeof(target->scratch), "%s.%016" PRIx64, target->name, random);
    if (length >= (int)sizeof(target->scratch))
        return cannot_write(target, -ENAMETOOLONG);
    target->fd =
        openat(target->directory, target->scratch, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return target->fd < 0 ? cannot_write(target, -errno) : EXIT_DONE;
}

/* Whether the name leads to the file that was written: a user who owns the directory can put
 * another one, or a link, in the place of either name. */
static bool is_in_place(const struct target *target)
{
    struct stat written, found;
    return fstat(target->fd, &written) == 0 &&
           fstatat(target->directory, target->name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           written.st_dev == found.st_dev && written.st_ino == found.st_ino;
}

static int finish(const struct target *target)
{
    if (!target->name)
        return lseek(target->fd, 0, SEEK_SET) == 0 ? copy(target->fd, STDOUT_FILENO) : -errno;
    if (fsync(target->fd) != 0 ||
        renameat(target->directory, target->scratch, target->directory, target->name) != 0 ||
        fsync(target->directory) != 0)
        return -errno;
    return is_in_place(target) ? 0 : -ESTALE;
}

static int save(const struct chronos_mount *mount, struct target *target)
{
    int r = fetch(mount, target->fd);
    if (r == -EACCES)
        output_message("Only root can make a backup: it shows what users hide from each other.");
    else if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
        cannot_write(target, r);
    else if (r)
        return failure_report(mount, "The state could not be read", r);
    if (r)
        return EXIT_REFUSED;
    r = finish(target);
    return r ? cannot_write(target, r) : EXIT_DONE;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    bool to_output = strcmp(args->words[0], "-") == 0;
    struct target target = {
        .path = to_output ? "standard output" : args->words[0], .directory = -1, .fd = -1};
    int code = to_output ? make_for_output(&target) : make(&target);
    if (!code)
        code = save(mount, &target);
    if (code && target.name && target.fd >= 0)
        unlinkat(target.directory, target.scratch, 0);
    fd_close(target.fd);
    fd_close(target.directory);
    if (!code && !to_output)
        printf("Saved the state to %s\n", target.path);
    return code;
}

const struct command cmd_backup = {
    .name = "backup",
    .args = "FILE",
    .summary = "Save the state to a file. For root.",
    .help = "Saves partitions, settings, history and events to FILE, which only its owner can\n"
            "read. Safe at any time: the tree goes on, and FILE is complete or as it was\n"
            "before. FILE can be - for standard output; one that was cut off is refused by\n"
            "the restore.\n"
            "\n"
            "To restore it, end chronosfs and run chronosfs --restore FILE; see chronosfs(8).\n"
            "\n"
            "    chronos backup /var/backups/chronos\n"
            "    chronos backup - | ssh HOST 'cat > chronos.backup'",
    .changes = true,
    .run = run,
};
