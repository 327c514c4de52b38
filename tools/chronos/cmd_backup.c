/* SPDX-License-Identifier: Apache-2.0 */
/* chronos backup: copy the file `backup` of the tree to a file, whole or not at all. */
#include "command.h"
#include "core/base/hash.h"
#include "failure.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES     5 /* a daemon that is replaced begins again */
#define LAST_LINE 128

static char block[1 << 17];

/* The file that is written, and its name until it is complete. */
struct target {
    const char *name;
    char scratch[PATH_MAX];
    int fd;
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
    output_message("Cannot write %s: %s.", target->name, strerror(-r));
    return EXIT_REFUSED;
}

/* The name stays free until the file is complete: an older backup is not lost to a full disk. */
static int make(struct target *target)
{
    struct stat st;
    if (stat(target->name, &st) == 0 && !S_ISREG(st.st_mode)) {
        output_message("%s is not a plain file; name the file to write.", target->name);
        return EXIT_REFUSED;
    }
    int length = snprintf(target->scratch, sizeof(target->scratch), "%s.XXXXXX", target->name);
    if (length >= (int)sizeof(target->scratch))
        return cannot_write(target, -ENAMETOOLONG);
    target->fd = mkostemp(target->scratch, O_CLOEXEC);
    return target->fd < 0 ? cannot_write(target, -errno) : EXIT_DONE;
}

static int sync_directory(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", name);
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = '\0';
    int fd = open(slash ? path : ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    int r = fd < 0 || fsync(fd) != 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int finish(const struct target *target)
{
    if (fsync(target->fd) != 0 || rename(target->scratch, target->name) != 0)
        return -errno;
    return sync_directory(target->name);
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    struct target target = {.name = args->words[0]};
    int code = make(&target);
    if (code)
        return code;
    int r = fetch(mount, target.fd);
    if (r == -EACCES)
        output_message("Only root can make a backup: it shows what users hide from each other.");
    else if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
        cannot_write(&target, r);
    else if (r)
        code = failure_report(mount, "The state could not be read", r);
    if (r && !code)
        code = EXIT_REFUSED;
    if (!code && (r = finish(&target)) != 0)
        code = cannot_write(&target, r);
    if (code)
        unlink(target.scratch);
    close(target.fd);
    if (!code)
        printf("Saved the state to %s\n", target.name);
    return code;
}

const struct command cmd_backup = {
    .name = "backup",
    .args = "FILE",
    .summary = "Save the state to a file. For root.",
    .help = "Saves partitions, settings, history and events to FILE, which only its owner can\n"
            "read. Safe at any time: the tree goes on, and FILE is complete or as it was\n"
            "before.\n"
            "\n"
            "To restore it, end chronosfs and run chronosfs --restore FILE; see chronosfs(8).\n"
            "\n"
            "    chronos backup /var/backups/chronos",
    .run = run,
};
