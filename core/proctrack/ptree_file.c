/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file STATE_DIR/members: the records of the process-tree adapter. It is mapped, so that
 * records survive a kill of the daemon at any moment without a system call each. They need not
 * survive a reboot: pids mean nothing after it.
 */
#include "ptree.h"

#include "core/base/message.h"

#include "core/base/boot_id.h"
#include "core/base/fd.h"
#include "core/base/hash.h"
#include "core/base/shortage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC     "chronos members 2"
#define GROW_BY   256
#define BYTES_MAX (256 << 20) /* larger than any file of ours */

struct header {
    char magic[24];
    char boot_id[BOOT_ID_MAX];
};

static uint64_t check_of(const struct ptree_record *record)
{
    const uint64_t values[] = {record->start, record->since,
                               (uint64_t)record->pid << 32 | record->frozen};
    return hash_bytes(hash_bytes(HASH_START, &record->in, sizeof(record->in)), values,
                      sizeof(values));
}

/* Mark the slot free while its other fields change, so that the next daemon never takes a
 * half-written record for a valid one. */
static void record_write(struct ptree_record *place, const struct ptree_record *record)
{
    place->in.ids[0] = 0;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(&place->in.ids[1], &record->in.ids[1], sizeof(record->in) - sizeof(record->in.ids[0]));
    place->start = record->start;
    place->since = record->since;
    place->pid = record->pid;
    place->frozen = record->frozen;
    place->check = check_of(record);
    atomic_signal_fence(memory_order_seq_cst);
    place->in.ids[0] = record->in.ids[0];
}

void ptree_file_record_drop(struct ptree_record *record)
{
    record->in.ids[0] = 0;
}

/* Keep the records in memory only from now on. Truncate the file if possible: otherwise, after a
 * restart, processes that have changed partitions would be found in the old one. */
static void *leave_file(struct ptree_file *file, size_t bytes)
{
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return mapped;
    if (file->map) {
        memcpy(mapped, file->map, file->map_bytes);
        munmap(file->map, file->map_bytes);
    } else if (file->fd >= 0 && pread(file->fd, mapped, bytes, 0) < 0) {
        memset(mapped, 0, bytes);
    }
    if (file->fd >= 0 && ftruncate(file->fd, 0) != 0) {
        /* read-only disk: the old contents stay */
    }
    file->fd = fd_close(file->fd);
    return mapped;
}

static int map(struct ptree_file *file, size_t count)
{
    size_t bytes = sizeof(struct header) + count * sizeof(struct ptree_record);
    void *mapped;
    if (bytes > BYTES_MAX)
        return -ENOSPC;
    /* Allocate the blocks first: a full disk is an error here, but a signal in a mapping. Even then
     * programs must be able to join and to be ended. */
    if (file->fd >= 0 && posix_fallocate(file->fd, 0, (off_t)bytes) != 0)
        mapped = leave_file(file, bytes);
    else if (file->map)
        mapped = mremap(file->map, file->map_bytes, bytes, MREMAP_MAYMOVE);
    else if (file->fd >= 0)
        mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    else
        mapped = leave_file(file, bytes);
    if (mapped == MAP_FAILED)
        return -errno;
    file->map = mapped;
    file->map_bytes = bytes;
    file->records = (struct ptree_record *)((char *)mapped + sizeof(struct header));
    file->count = count;
    return 0;
}

struct ptree_record *ptree_file_record_find(const struct ptree_file *file, pid_t pid,
                                            uint64_t start)
{
    for (size_t i = 0; i < file->count; i++) {
        struct ptree_record *record = &file->records[i];
        if (record->in.ids[0] != 0 && record->pid == (uint32_t)pid && record->start == start)
            return record;
    }
    return NULL;
}

bool ptree_file_is_empty(const struct ptree_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        if (file->records[i].in.ids[0] != 0)
            return false;
    }
    return true;
}

int ptree_file_record_set(struct ptree_file *file, const struct ptree_record *record)
{
    struct ptree_record *place = ptree_file_record_find(file, (pid_t)record->pid, record->start);
    for (size_t i = 0; !place && i < file->count; i++) {
        if (file->records[i].in.ids[0] == 0)
            place = &file->records[i];
    }
    if (!place) {
        size_t first = file->count;
        int r = map(file, first + GROW_BY);
        if (r)
            return r;
        place = &file->records[first];
    }
    record_write(place, record);
    return 0;
}

static int boot_id_get(const char *given, char boot_id[static BOOT_ID_MAX])
{
    memset(boot_id, 0, BOOT_ID_MAX);
    if (!given)
        return boot_id_read(boot_id);
    snprintf(boot_id, BOOT_ID_MAX, "%s", given);
    return 0;
}

/* Drop damaged records; returns how many. */
static size_t records_check(struct ptree_file *file)
{
    size_t bad = 0;
    for (size_t i = 0; i < file->count; i++) {
        struct ptree_record *record = &file->records[i];
        if (record->in.ids[0] == 0 ||
            (record->check == check_of(record) && record->pid > 1 && record->pid <= INT_MAX))
            continue;
        ptree_file_record_drop(record);
        bad++;
    }
    return bad;
}

/* Return 0 if the file is of this boot and usable, 1 if it must be started from scratch. */
static int header_check(const struct ptree_file *file, const char *boot_id, const char *path,
                        struct message *message)
{
    struct header header;
    struct stat info;
    if (fstat(file->fd, &info) != 0)
        return -errno;
    if (info.st_size == 0)
        return 1;
    ssize_t length = pread(file->fd, &header, sizeof(header), 0);
    if (length < 0)
        return -errno; /* not damaged: it must not be overwritten */
    if (length != sizeof(header) || strncmp(header.magic, MAGIC, sizeof(header.magic)) != 0 ||
        info.st_size > BYTES_MAX) {
        message_set(0, message, "%s is damaged: the processes in partitions were lost.", path);
        return 1;
    }
    return memcmp(header.boot_id, boot_id, BOOT_ID_MAX) == 0 ? 0 : 1;
}

static int begin(struct ptree_file *file, const char *boot_id)
{
    struct header header = {.magic = MAGIC};
    memcpy(header.boot_id, boot_id, BOOT_ID_MAX);
    if (ftruncate(file->fd, 0) != 0)
        return -errno;
    ssize_t length = pwrite(file->fd, &header, sizeof(header), 0);
    return length == sizeof(header) ? 0 : length < 0 ? -errno : -ENOSPC;
}

static int load(struct ptree_file *file, const char *boot_id, const char *path,
                struct message *message)
{
    struct stat info;
    int r = header_check(file, boot_id, path, message);
    if (r == 1)
        r = begin(file, boot_id);
    if (!r && fstat(file->fd, &info) != 0)
        r = -errno;
    if (r)
        return r;
    size_t count = ((size_t)info.st_size - sizeof(struct header)) / sizeof(struct ptree_record);
    r = map(file, count < GROW_BY ? GROW_BY : count);
    size_t bad = r ? 0 : records_check(file);
    if (bad > 0)
        message_set(0, message, "%s is damaged: %zu processes lost their partition.", path, bad);
    return r;
}

int ptree_file_open(struct ptree_file *file, const char *state_dir, const char *boot_id,
                    struct message *message)
{
    char path[PATH_MAX], boot[BOOT_ID_MAX];
    if (!state_dir || snprintf(path, sizeof(path), "%s/members", state_dir) >= (int)sizeof(path))
        return message_set(-EINVAL, message, "No directory for the file of members.");
    int r = boot_id_get(boot_id, boot);
    if (r)
        return message_set(r, message, "Cannot read the boot id.");
    file->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    r = file->fd < 0 ? -errno : 0;
    if (r == -EROFS)
        file->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    r = file->fd < 0 ? r : load(file, boot, path, message);
    if ((!r && file->fd >= 0) || shortage_is(r))
        return r;
    message_set(0, message,
                "Cannot use %s (%s): the processes in partitions will be lost when chronosfs "
                "restarts.",
                path, strerror(r ? -r : ENOSPC));
    if (!r)
        return 0;
    ptree_file_close(file);
    return map(file, GROW_BY);
}

void ptree_file_close(struct ptree_file *file)
{
    if (file->map)
        munmap(file->map, file->map_bytes);
    file->map = NULL;
    file->fd = fd_close(file->fd);
}
