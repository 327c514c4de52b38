/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file with the former permissions of restricted nodes: one line per node, each with its own
 * checksum. It is written to a new file, synced and renamed, so that after a crash there is either
 * the old or the new one. This file must not touch a node.
 *
 *   chronos-device-access 1
 *   SUM DEVICE INODE RDEV BIRTH_NS BOOT UID GID MODE ACL PATH     (ACL: hex, - none)
 *   end COUNT
 */
#include "internal.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/hash.h"

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

/* -- the list --------------------------------------------------------------------- */

struct entry *saved_add(struct devacl *devacl)
{
    if (array_reserve(devacl->entries, devacl->capacity, devacl->count + 1))
        return NULL;
    struct entry *entry = &devacl->entries[devacl->count++];
    *entry = (struct entry){.fresh = false};
    return entry;
}

void saved_remove(struct devacl *devacl, size_t index)
{
    struct entry *entry = &devacl->entries[index];
    free(entry->before.acl.data);
    free(entry->applied.data);
    devacl->count--;
    memmove(entry, entry + 1, (devacl->count - index) * sizeof(*entry));
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
    for (size_t i = 0; acl->data && i < length; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        acl->data[i / 2] = (unsigned char)(high << 4 | low);
    }
    acl->size = acl->data ? length / 2 : 0;
    return acl->data;
}

/* Parse the line of one node, without its newline. Return false if it is damaged. */
static bool read_line(const char *line, struct entry *entry)
{
    struct identity *identity = &entry->identity;
    struct node_state *before = &entry->before;
    uint64_t sum;
    int start = 0, used = 0;

    if (sscanf(line, "%16" SCNx64 "%n", &sum, &start) != 1 || line[start] != ' ' ||
        sum != hash_text(HASH_START, line + start))
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

/* The state while reading the file. */
struct reading {
    struct devacl *devacl;
    size_t bad; /* number of damaged lines */
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
    struct entry *added = saved_add(reading->devacl);
    if (!added) {
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

    while (!r && (length = getline(&line, &room, file)) >= 0) {
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        r = first ? read_header(reading, line) : take_line(reading, line);
        first = false;
    }
    free(line);
    return !r && ferror(file) ? -EIO : r;
}

int saved_load(struct devacl *devacl, struct message *message)
{
    const char *directory = devacl->options.state_dir;
    struct reading reading = {.devacl = devacl};
    int fd = openat(devacl->directory_fd, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    int r = -errno;

    unlinkat(devacl->directory_fd, NAME_NEW, 0); /* left by a daemon that died while writing */
    if (!file) {
        fd_close(fd);
        if (r == -ENOENT)
            return 0;
        return node_message(r, message, "Cannot read %s/" NAME ": %s.", directory, strerror(-r));
    }
    r = read_all(&reading, file);
    fclose(file);
    if (r == -EPROTO)
        return node_message(r, message,
                            "%s/" NAME
                            " was written by another version of chronosfs: use that version, or "
                            "fix the permissions of the device nodes and remove the file.",
                            directory);
    if (r)
        return node_message(r, message, "Cannot read %s/" NAME ": %s.", directory, strerror(-r));
    devacl->damaged = reading.bad > 0 || !reading.ended;
    if (devacl->damaged)
        node_message(0, message,
                     "%s/" NAME
                     " is damaged: only %zu device nodes can be restored, others may stay "
                     "restricted; check them with getfacl. The file will be kept as " NAME_BAD ".",
                     directory, devacl->count);
    return 0;
}

/* -- writing ---------------------------------------------------------------------- */

static bool write_entry(FILE *file, const struct entry *entry)
{
    const struct identity *identity = &entry->identity;
    const struct node_state *before = &entry->before;
    char *line = NULL;
    size_t length;
    FILE *text = open_memstream(&line, &length);

    if (!text)
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
        fprintf(file, "%016" PRIx64 "%s\n", hash_text(HASH_START, line), line);
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
    int r = steps_before(&devacl->options.steps, "write");
    if (r)
        return r;
    int fd = openat(devacl->directory_fd, NAME_NEW,
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        r = -errno;
        fd_close(fd);
        return r;
    }
    r = write_all(devacl, file);
    if (!r)
        r = steps_before(&devacl->options.steps, "sync");
    if (!r && fsync(fd) != 0)
        r = -errno;
    fclose(file);
    return r;
}

static int replace(struct devacl *devacl)
{
    int fd = devacl->directory_fd, r = write_new(devacl);
    /* Keep the first damaged file: it has the most information. */
    if (!r && devacl->damaged && linkat(fd, NAME, fd, NAME_BAD, 0) != 0 && errno != EEXIST)
        r = -errno;
    if (!r)
        r = steps_before(&devacl->options.steps, "rename");
    if (!r && renameat(fd, NAME_NEW, fd, NAME) != 0)
        r = -errno;
    if (r)
        unlinkat(fd, NAME_NEW, 0);
    return r;
}

static int take_away(struct devacl *devacl)
{
    int fd = devacl->directory_fd, r = steps_before(&devacl->options.steps, "unlink");
    if (!r && devacl->damaged && renameat(fd, NAME, fd, NAME_BAD) != 0 && errno != ENOENT)
        r = -errno;
    if (!r && unlinkat(fd, NAME, 0) != 0 && errno != ENOENT)
        r = -errno;
    return r;
}

int saved_store(struct devacl *devacl, struct message *message)
{
    int r = devacl->count > 0 ? replace(devacl) : take_away(devacl);
    if (!r)
        r = steps_before(&devacl->options.steps, "sync-directory");
    if (!r && fsync(devacl->directory_fd) != 0)
        r = -errno;
    if (r)
        return node_message(r, message,
                            "Cannot save the permissions of device nodes in %s/" NAME
                            ": %s. No more nodes will be restricted.",
                            devacl->options.state_dir, strerror(-r));
    devacl->damaged = false;
    return 0;
}
