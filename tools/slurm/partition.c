/* SPDX-License-Identifier: Apache-2.0 */
/* The partition of a job on this node; see partition.h. */
#include "partition.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int partition_tree(const struct settings *settings, struct chronos_mount *ret_mount,
                   char *ret_sentence, size_t size)
{
    char failed[PATH_MAX];
    int r =
        chronos_mount_open(settings->mount[0] != '\0' ? settings->mount : NULL, failed, ret_mount);
    if (r)
        chronos_explain_no_mount(failed, r, "with mount= in plugstack.conf", ret_sentence, size);
    return r;
}

static int ask(int fd, struct record *record, bool hold)
{
    char line[RECORD_REQUEST_MAX + 8], reason[CHRONOS_REASON_MAX];
    snprintf(line, sizeof(line), "%s%s", record->request, hold ? " hold" : "");
    int r = chronos_request_send(fd, line);
    if (r && chronos_request_reason(fd, record->sentence, sizeof(record->sentence)) == 0)
        return r;
    if (!r)
        r = chronos_request_id(fd, record->id);
    if (r)
        snprintf(record->sentence, sizeof(record->sentence), "The request failed: %s.",
                 chronos_reason(r, reason));
    return r;
}

void partition_make(const struct settings *settings, struct record *record, int *ret_hold)
{
    struct chronos_mount mount;
    char reason[CHRONOS_REASON_MAX];
    int fd = -1;
    record->id[0] = record->sentence[0] = '\0';
    int r = partition_tree(settings, &mount, record->sentence, sizeof(record->sentence));
    if (r)
        return;
    r = chronos_request_open(&mount, "any", &fd);
    if (r)
        snprintf(record->sentence, sizeof(record->sentence), "No request can be made: %s.",
                 chronos_reason(r, reason));
    else
        r = ask(fd, record, ret_hold);
    if (!r && ret_hold)
        *ret_hold = fd;
    else
        fd_close(fd);
    chronos_mount_close(&mount);
}

int partition_open(const struct chronos_mount *mount, const struct record *record, uid_t user,
                   char *ret_sentence, size_t size)
{
    char path[64], reason[CHRONOS_REASON_MAX];
    struct stat found;
    snprintf(path, sizeof(path), "partitions/%s/.", record->id);
    int fd = chronos_open(mount->root, path, O_PATH | O_DIRECTORY);
    int r = fd < 0 ? fd : fstat(fd, &found) != 0 ? -errno : 0;
    if (!r && found.st_uid != user)
        r = -EPERM;
    if (!r)
        return fd;
    if (r == -EPERM)
        snprintf(ret_sentence, size, "%s was handed over to another user.", record->id);
    else if (chronos_is_gone(r))
        snprintf(ret_sentence, size, "%s, the partition of this job, has ended.", record->id);
    else
        snprintf(ret_sentence, size, "%s cannot be opened: %s.", record->id,
                 chronos_reason(r, reason));
    fd_close(fd);
    return r;
}

/* Who lists `partitions` into slow memory keeps its entries from being removed; the file does not
 * need that lock. */
static int release(const struct chronos_mount *mount, const char *id)
{
    char path[64];
    if (chronos_write(mount->root, "release", id) == 0)
        return 0;
    snprintf(path, sizeof(path), "partitions/%s", id);
    return unlinkat(mount->root, path, 0) == 0 ? 0 : -errno;
}

/* Look at the link of a partition, which has the same owner: users can mount over the directory. */
static int find_link(const struct chronos_mount *mount, const char *id, struct stat *ret_link)
{
    char path[64];
    snprintf(path, sizeof(path), "partitions/%s", id);
    return fstatat(mount->root, path, ret_link, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

bool partition_exists(const struct chronos_mount *mount, const char *id)
{
    struct stat link;
    return !chronos_is_gone(find_link(mount, id, &link));
}

void partition_release(const struct chronos_mount *mount, const struct record *record, uid_t user)
{
    char path[64];
    struct stat link;
    if (record->id[0] == '\0' || find_link(mount, record->id, &link))
        return;
    if (link.st_uid == user) {
        release(mount, record->id);
    } else {
        snprintf(path, sizeof(path), "partitions/%s/name", record->id);
        chronos_write(mount->root, path, "");
    }
}

/* Return the job that a label is for; 0: none. */
static uint32_t job_of(const char *label)
{
    char again[24];
    if (strncmp(label, "slurm-", 6) != 0)
        return 0;
    uint64_t job = chronos_number(label + 6);
    snprintf(again, sizeof(again), "%" PRIu64, job);
    return strcmp(again, label + 6) == 0 && job <= UINT32_MAX ? (uint32_t)job : 0;
}

/* Return the job that root made this partition for; 0: none. */
static uint32_t made_for(const struct chronos_mount *mount, const char *id)
{
    char path[64], label[80], creator[64];
    snprintf(path, sizeof(path), "partitions/%s/name", id);
    if (chronos_read(mount->root, path, label, sizeof(label)) < 0 || job_of(label) == 0)
        return 0;
    snprintf(path, sizeof(path), "partitions/%s/creator", id);
    if (chronos_read(mount->root, path, creator, sizeof(creator)) < 0 ||
        strncmp(creator, "0 ", 2) != 0)
        return 0;
    return job_of(label);
}

int partition_sweep(const struct chronos_mount *mount, int records)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    int released = 0;
    if (chronos_list(mount->root, "partitions", "p", &ids, &count) < 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        char id[CHRONOS_ID_MAX];
        snprintf(id, sizeof(id), "p%" PRIu64, ids[i]);
        uint32_t job = made_for(mount, id);
        if (job != 0 && !record_exists(records, job))
            released += release(mount, id) == 0;
    }
    free(ids);
    return released;
}
