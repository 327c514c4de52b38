/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate's file: how the nodes were before. One line a node, each with its own sum,
 * written whole beside the old file, synced and moved over it, so that after a crash
 * there is the old one or the new one. It must not touch a node.
 *
 *   chronos-device-access 1
 *   SUM DEVICE INODE RDEV BIRTH_NS BOOT UID GID MODE ACL PATH     (ACL: hex, - none)
 *   end COUNT
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION  1
#define NAME     "device_access"
#define NAME_NEW "device_access.new"
#define NAME_BAD "device_access.damaged"

/* FNV-1a: it finds damage, it keeps nobody out. */
static uint64_t sum_of(const char *text)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        sum = (sum ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return sum;
}

/* -- reading ---------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, size_t length, struct acl *acl)
{
    if (length == 1 && text[0] == '-')
        return true;
    if (length == 0 || length % 2 != 0 || length / 2 > DEVACL_ACL_MAX)
        return false;
    acl->data = malloc(length / 2);
    for (size_t i = 0; acl->data != NULL && i < length; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        acl->data[i / 2] = (unsigned char)(high << 4 | low);
    }
    acl->size = acl->data != NULL ? length / 2 : 0;
    return acl->data != NULL;
}

/* One line of a node, without its newline. False: it is damaged. */
static bool read_line(const char *line, struct entry *entry)
{
    struct identity *identity = &entry->identity;
    struct look *before = &entry->before;
    uint64_t sum;
    int start = 0, used = 0;

    if (sscanf(line, "%16" SCNx64 "%n", &sum, &start) != 1 || line[start] != ' ' ||
        sum != sum_of(line + start))
        return false;
    line += start;
    if (sscanf(line,
               " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNd64 " %39s %" SCNu32 " %" SCNu32
               " %" SCNo32 " %n",
               &identity->device, &identity->inode, &identity->rdev, &identity->birth_ns,
               identity->boot, &before->uid, &before->gid, &before->mode, &used) != 8 ||
        used == 0 || before->mode > 07777)
        return false;
    line += used;
    size_t length = strcspn(line, " ");
    if (!read_hex(line, length, &before->acl) || line[length] != ' ' || line[length + 1] != '/' ||
        strlen(line + length + 1) >= sizeof(entry->path))
        return false;
    strcpy(entry->path, line + length + 1);
    return true;
}

/* What was in the file. */
struct reading {
    struct devacl *devacl;
    size_t bad; /* lines */
    bool ended;
};

static int take_line(struct reading *reading, const char *line)
{
    struct entry entry = {0};
    uint64_t count;
    int used = 0;

    if (sscanf(line, "end %" SCNu64 "%n", &count, &used) == 1 && line[used] == '\0') {
        reading->ended = count == reading->devacl->count + reading->bad;
        return 0;
    }
    if (!read_line(line, &entry)) {
        free(entry.before.acl.data);
        reading->bad++;
        return 0;
    }
    struct entry *added = devacl_add(reading->devacl);
    if (added == NULL) {
        free(entry.before.acl.data);
        return -ENOMEM;
    }
    *added = entry;
    return 0;
}

static int read_header(struct reading *reading, const char *line)
{
    unsigned version;
    int used = 0;
    if (sscanf(line, "chronos-device-access %u%n", &version, &used) != 1 || line[used] != '\0') {
        reading->bad++;
        return 0;
    }
    return version == VERSION ? 0 : -EPROTO;
}

static int read_all(struct reading *reading, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool first = true;
    int r = 0;

    while (r == 0 && (length = getline(&line, &room, file)) >= 0) {
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        r = first ? read_header(reading, line) : take_line(reading, line);
        first = false;
    }
    free(line);
    return r == 0 && ferror(file) ? -EIO : r;
}

int saved_load(struct devacl *devacl, char *message, size_t size)
{
    const char *directory = devacl->options.state_dir;
    struct reading reading = {.devacl = devacl};
    int fd = openat(devacl->directory_fd, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    int r = -errno;

    unlinkat(devacl->directory_fd, NAME_NEW, 0); /* of a gate that died while it wrote */
    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        if (r == -ENOENT)
            return 0;
        return devacl_say(r, message, size, "cannot read %s/" NAME ": %s", directory, strerror(-r));
    }
    r = read_all(&reading, file);
    fclose(file);
    if (r == -EPROTO)
        return devacl_say(r, message, size,
                          "%s/" NAME
                          " was written by another version of chronosfs: use that one, or "
                          "put the device nodes right by hand and remove the file",
                          directory);
    if (r != 0)
        return devacl_say(r, message, size, "cannot read %s/" NAME ": %s", directory, strerror(-r));
    devacl->damaged = reading.bad > 0 || !reading.ended;
    if (devacl->damaged)
        devacl_say(0, message, size,
                   "%s/" NAME
                   " is damaged: how %zu device nodes were before can be read, others may "
                   "stay closed: look at them with getfacl; it will be kept as " NAME_BAD,
                   directory, devacl->count);
    return 0;
}

/* -- writing ---------------------------------------------------------------------- */

static bool write_entry(FILE *file, const struct entry *entry)
{
    const struct identity *identity = &entry->identity;
    const struct look *before = &entry->before;
    char *line = NULL;
    size_t length;
    FILE *text = open_memstream(&line, &length);

    if (text == NULL)
        return false;
    fprintf(text,
            " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %s %" PRIu32 " %" PRIu32 " %" PRIo32
            " ",
            identity->device, identity->inode, identity->rdev, identity->birth_ns, identity->boot,
            before->uid, before->gid, before->mode);
    for (size_t i = 0; i < before->acl.size; i++)
        fprintf(text, "%02x", before->acl.data[i]);
    fprintf(text, "%s %s", before->acl.size == 0 ? "-" : "", entry->path);
    bool good = fclose(text) == 0;
    if (good)
        fprintf(file, "%016" PRIx64 "%s\n", sum_of(line), line);
    free(line);
    return good;
}

static int write_all(const struct devacl *devacl, FILE *file)
{
    bool good = true;
    fprintf(file, "chronos-device-access %d\n", VERSION);
    for (size_t i = 0; good && i < devacl->count; i++)
        good = write_entry(file, &devacl->entries[i]);
    fprintf(file, "end %zu\n", devacl->count);
    if (!good)
        return -ENOMEM;
    return fflush(file) == 0 && !ferror(file) ? 0 : -errno;
}

static int write_new(const struct devacl *devacl)
{
    int r = devacl_step(devacl, "write");
    if (r != 0)
        return r;
    int fd = openat(devacl->directory_fd, NAME_NEW,
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    r = write_all(devacl, file);
    if (r == 0)
        r = devacl_step(devacl, "sync");
    if (r == 0 && fsync(fd) != 0)
        r = -errno;
    fclose(file);
    return r;
}

static int replace(struct devacl *devacl)
{
    int fd = devacl->directory_fd, r = write_new(devacl);
    /* The first one that was damaged is the one that says most. */
    if (r == 0 && devacl->damaged && linkat(fd, NAME, fd, NAME_BAD, 0) != 0 && errno != EEXIST)
        r = -errno;
    if (r == 0)
        r = devacl_step(devacl, "rename");
    if (r == 0 && renameat(fd, NAME_NEW, fd, NAME) != 0)
        r = -errno;
    if (r != 0)
        unlinkat(fd, NAME_NEW, 0);
    return r;
}

static int take_away(struct devacl *devacl)
{
    int fd = devacl->directory_fd, r = devacl_step(devacl, "unlink");
    if (r == 0 && devacl->damaged && renameat(fd, NAME, fd, NAME_BAD) != 0 && errno != ENOENT)
        r = -errno;
    if (r == 0 && unlinkat(fd, NAME, 0) != 0 && errno != ENOENT)
        r = -errno;
    return r;
}

int saved_store(struct devacl *devacl, char *message, size_t size)
{
    int r = devacl->count > 0 ? replace(devacl) : take_away(devacl);
    if (r == 0)
        r = devacl_step(devacl, "sync-directory");
    if (r == 0 && fsync(devacl->directory_fd) != 0)
        r = -errno;
    if (r != 0)
        return devacl_say(r, message, size,
                          "cannot keep in %s/" NAME " how the device nodes were: %s; no new node "
                          "enters the gate",
                          devacl->options.state_dir, strerror(-r));
    devacl->damaged = false;
    return 0;
}
