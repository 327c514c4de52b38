/* SPDX-License-Identifier: Apache-2.0 */
/* Find out whose a driver's rows are; see owners.h. */
#include "owners.h"

#include "core/base/boot_id.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/replace.h"
#include "core/gpu/vendor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As many as an answer has, and as many that it may have left out. */
#define OWNERS_MAX (2 * GPU_USAGE_PROCESS_MAX)

#define FILE_NAME "rows"

enum { OWNER_ORPHANED = 1, OWNER_NOTED = 2, OWNER_HAS_UID = 4 };

struct owner {
    uint32_t device;
    int32_t pid;
    uint64_t start; /* 0: not known yet */
    uint32_t uid;
    unsigned flags;
};

struct owners {
    struct owners_start start;
    struct owner *list, *next; /* by device, then by pid; of the last look, and of this one */
    size_t count, next_count;
    bool changed; /* since it was written */
};

static int compare(const void *one, const void *other)
{
    const struct owner *a = one, *b = other;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

/* -- the file ----------------------------------------------------------------------------- */

static void read_line(struct owners *owners, const char *line)
{
    struct owner owner = {.device = 0};
    char key[sizeof(owners->start.devices->key)];
    if (owners->count == OWNERS_MAX || !strchr(line, '\n') ||
        sscanf(line, "%" SCNd32 " %" SCNu64 " %" SCNu32 " %u %159[^\n]", &owner.pid, &owner.start,
               &owner.uid, &owner.flags, key) != 5)
        return;
    while (owner.device < owners->start.device_count &&
           strcmp(owners->start.devices[owner.device].key, key) != 0)
        owner.device++;
    if (owner.device < owners->start.device_count)
        owners->list[owners->count++] = owner;
}

/* -1: nothing is kept, or it cannot be opened. */
static int open_dir(const struct owners *owners)
{
    const char *path = owners->start.state_dir;
    return path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static void read_file(struct owners *owners)
{
    char boot[BOOT_ID_MAX], line[256];
    int dir = boot_id_read(boot) ? -1 : open_dir(owners);
    int fd = dir < 0 ? -1 : openat(dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    fd_close(dir);
    if (!file)
        fd_close(fd);
    if (!file)
        return;
    if (fgets(line, sizeof(line), file) && !strncmp(line, boot, strlen(boot)))
        while (fgets(line, sizeof(line), file))
            read_line(owners, line);
    fclose(file);
    qsort(owners->list, owners->count, sizeof(*owners->list), compare);
}

static void write_file(struct owners *owners)
{
    char boot[BOOT_ID_MAX];
    if (!owners->start.state_dir || boot_id_read(boot))
        return;
    int dir = open_dir(owners);
    FILE *file = dir < 0 ? NULL : replace_begin(dir, FILE_NAME);
    int r = file ? 0 : -errno;
    if (file)
        fprintf(file, "%s\n", boot);
    for (size_t i = 0; file && i < owners->count; i++) {
        const struct owner *owner = &owners->list[i];
        fprintf(file, "%" PRId32 " %" PRIu64 " %" PRIu32 " %u %s\n", owner->pid, owner->start,
                owner->uid, owner->flags, owners->start.devices[owner->device].key);
    }
    if (file)
        r = replace_end(file, dir, FILE_NAME);
    fd_close(dir);
    if (r)
        log_say("Cannot write " FILE_NAME " in the state directory: %s.", strerror(-r));
}

/* -- a look ------------------------------------------------------------------------------- */

static void note(struct owners *owners, struct owner *owner, uint64_t bytes)
{
    char details[96], uid[24] = "", size[24] = "unknown";
    if (!bytes || (owner->flags & OWNER_NOTED))
        return;
    owner->flags |= OWNER_NOTED;
    owners->changed = true;
    if (owner->flags & OWNER_HAS_UID)
        snprintf(uid, sizeof(uid), " uid=%" PRIu32, owner->uid);
    if (bytes != GPU_BYTES_UNKNOWN)
        snprintf(size, sizeof(size), "%" PRIu64, bytes);
    snprintf(details, sizeof(details), "pid=%" PRId32 "%s bytes=%s", owner->pid, uid, size);
    owners->start.note(owners->start.context, owner->device, "orphaned", details);
}

static void remember(struct owners *owners, struct owner *owner, uint64_t start)
{
    struct procfs_process process;
    owner->start = start;
    if (!proctrack_look(owners->start.proctrack, owner->pid, &process) && process.start == start) {
        owner->uid = process.uid;
        owner->flags |= OWNER_HAS_UID;
    }
    owners->changed = true;
}

/* Return whether the row belongs to the process that has its pid now. */
static bool is_owned(struct owners *owners, struct owner *owner, uint64_t bytes)
{
    struct procfs_stat stat = {.start = 0};
    if (owner->flags & OWNER_ORPHANED) {
        note(owners, owner, bytes);
        return false;
    }
    int r = procfs_stat_read(-1, owner->pid, &stat);
    if (r && r != -ESRCH)
        return true; /* cannot tell yet; without its process it does not count */
    if (!r && !owner->start)
        remember(owners, owner, stat.start);
    if (!r && owner->start == stat.start)
        return true;
    owner->flags |= OWNER_ORPHANED;
    owners->changed = true;
    return false;
}

/* Only where an answer is complete is a row that it does not have gone. */
static void miss(struct owners *owners, const struct gpu_usage *usage, const struct owner *owner)
{
    if ((!usage->device[owner->device].known || usage->process_lost > 0) &&
        owners->next_count < OWNERS_MAX - GPU_USAGE_PROCESS_MAX)
        owners->next[owners->next_count++] = *owner;
    else
        owners->changed = true;
}

static bool outlives(const struct gpu_usage *usage, uint32_t device)
{
    const struct gpu_vendor *vendor = gpu_vendor_find(usage->device[device].backend);
    return vendor && vendor->rows_outlive;
}

void owners_sift(struct owners *owners, struct gpu_usage *usage)
{
    uint32_t kept = 0;
    size_t at = 0;
    owners->next_count = 0;
    for (uint32_t i = 0; i < usage->process_count; i++) {
        const struct gpu_usage_process *row = &usage->process[i];
        struct owner owner = {.device = row->device, .pid = row->pid};
        int order = 1;
        while (at < owners->count && (order = compare(&owners->list[at], &owner)) < 0)
            miss(owners, usage, &owners->list[at++]);
        if (at < owners->count && order == 0)
            owner = owners->list[at++];
        bool owned = true;
        if (outlives(usage, row->device)) {
            owned = is_owned(owners, &owner, row->memory_bytes);
            owners->next[owners->next_count++] = owner;
        }
        if (owned)
            usage->process[kept++] = *row;
    }
    while (at < owners->count)
        miss(owners, usage, &owners->list[at++]);
    usage->process_count = kept;
    struct owner *list = owners->list;
    owners->list = owners->next;
    owners->next = list;
    owners->count = owners->next_count;
    if (owners->changed)
        write_file(owners);
    owners->changed = false;
}

/* -- external functions --------------------------------------------------------------------- */

int owners_new(const struct owners_start *start, struct owners **ret_owners)
{
    struct owners *owners = calloc(1, sizeof(*owners));
    if (!owners)
        return -ENOMEM;
    owners->start = *start;
    owners->list = calloc(OWNERS_MAX, sizeof(*owners->list));
    owners->next = calloc(OWNERS_MAX, sizeof(*owners->next));
    if (!owners->list || !owners->next) {
        owners_free(owners);
        return -ENOMEM;
    }
    read_file(owners);
    *ret_owners = owners;
    return 0;
}

struct owners *owners_free(struct owners *owners)
{
    if (owners) {
        free(owners->list);
        free(owners->next);
    }
    free(owners);
    return NULL;
}
