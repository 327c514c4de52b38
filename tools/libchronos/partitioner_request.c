/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of chronos.h that make, change and end partitions. Only the filesystem knows which
 * amounts and durations are valid. */
#include "fraction.h"
#include "partitioner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Return whether the request has the word "hold". */
static bool has_hold(const char *request)
{
    static const char blanks[] = " \t";
    for (const char *word = request + strspn(request, blanks); *word != '\0';) {
        size_t length = strcspn(word, blanks);
        if (length == 4 && memcmp(word, "hold", 4) == 0)
            return true;
        word += length;
        word += strspn(word, blanks);
    }
    return false;
}

static int fail_open(struct chronos_partitioner *self, const char *device, int r)
{
    if (chronos_is_gone(r))
        return partitioner_fail_no_device(self, device);
    if (r == -EACCES || r == -EPERM)
        return partitioner_fail(
            r, "Permission denied: you cannot request partitions of device %.40s.", device);
    return partitioner_report(self, NULL, "No request can be made", r);
}

/* Open `new` of a device; a descriptor, or a negative errno with a sentence. */
static int open_new(struct chronos_partitioner *self, const char *device)
{
    bool tried = false;
    int fd = -1, r;
    do {
        r = chronos_request_open(&self->mount, device, &fd);
    } while (partitioner_again(self, r, &tried));
    return r < 0 ? fail_open(self, device, r) : fd;
}

/* Write the request and read the id, or the reason. */
static int ask(struct chronos_partitioner *self, int fd, const char *request,
               char ret_id[static CHRONOS_ID_MAX])
{
    char reason[MESSAGE_MAX];
    int r = chronos_request_send(fd, request);
    if (r == -E2BIG || r == -EFBIG || r == -ENOTCONN || r == -ECONNABORTED)
        return partitioner_report(self, NULL, "The request failed", r);
    if (r < 0) /* not from `status`, which the requests of a thousand other threads push out */
        return chronos_request_reason(fd, reason, sizeof(reason)) == 0
                   ? partitioner_fail(r, "%s", reason)
                   : partitioner_report(self, NULL, "The request failed", r);
    r = chronos_request_id(fd, ret_id);
    if (r < 0)
        return partitioner_report(self, NULL,
                                  "The partition was made, but its id could not be read", r);
    return 0;
}

int chronos_request_partition(ChronosPartitionerHandle handle, const char *device,
                              const char *request, char *partition_id, size_t partition_id_size)
{
    char id[CHRONOS_ID_MAX];
    struct held *place = NULL;
    uint64_t number;
    int r = partitioner_check(handle, NULL);
    if (r)
        return r;
    if (strchr(request, '\n'))
        return partitioner_fail(-EINVAL, "A request is one line.");
    if (partition_id_size < CHRONOS_ID_SIZE)
        return partitioner_fail(-EINVAL, "The id needs %d bytes; there are %zu.", CHRONOS_ID_SIZE,
                                partition_id_size);
    if (has_hold(request) && held_reserve(&handle->held, &place) < 0)
        return partitioner_fail(-ENOMEM, "Not enough memory.");
    int fd = open_new(handle, device);
    r = fd < 0 ? fd : ask(handle, fd, request, id);
    if (!r) {
        snprintf(partition_id, partition_id_size, "%s", id);
        if (place && chronos_parse_id(id, &number))
            held_keep(place, number, fd);
    } else if (place) {
        held_cancel(place);
    }
    if (r || !place)
        fd_close(fd);
    return r;
}

/* Read the answer to what was written, cut off where it does not fit. 0 or -errno. */
static int read_answer(int fd, char *text, size_t size)
{
    size_t used = 0;
    ssize_t n = 0;
    while (used + 1 < size && (n = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    if (n < 0)
        return -errno;
    if (used > 0 && text[used - 1] == '\n')
        used--;
    text[used] = '\0';
    return 0;
}

int chronos_suggest(ChronosPartitionerHandle handle, const char *device, const char *request,
                    char *text, size_t size)
{
    static const char what[] = "There are no suggestions";
    char name[32] = "suggest";
    unsigned index;
    int r = partitioner_check(handle, NULL);
    if (r)
        return r;
    if (strchr(request, '\n'))
        return partitioner_fail(-EINVAL, "A request is one line.");
    if (size == 0)
        return partitioner_fail(-EINVAL, "A text needs at least one byte.");
    if (strcmp(device, "any") != 0 && !chronos_parse_device(device, &index))
        return partitioner_fail_no_device(handle, device);
    if (strcmp(device, "any") != 0)
        snprintf(name, sizeof(name), "gpu%u/suggest", index);
    int fd = partitioner_file(handle, NULL, name, O_RDWR);
    if (fd < 0)
        return chronos_is_gone(fd) && strcmp(device, "any") != 0
                   ? partitioner_fail_no_device(handle, device)
                   : partitioner_report(handle, NULL, what, fd);
    r = chronos_request_send(fd, request);
    if (!r)
        r = read_answer(fd, text, size);
    else
        r = partitioner_refused(handle, NULL, what, r);
    fd_close(fd);
    return r;
}

int chronos_create_partition(ChronosPartitionerHandle handle, int device_index,
                             double memory_fraction, int duration_seconds, const char *target_user,
                             char *partition_id, size_t partition_id_size)
{
    char request[512] = "", device[16] = "any", fraction[FRACTION_MAX], duration[16];
    if (!fraction_text(memory_fraction, fraction))
        return partitioner_fail(-EINVAL,
                                "The fraction is out of range: request above 0 and at most 1.");
    if (device_index != CHRONOS_ANY_DEVICE)
        snprintf(device, sizeof(device), "%d", device_index);
    snprintf(duration, sizeof(duration), "%d", duration_seconds);
    int r = chronos_request_add(request, sizeof(request), NULL, fraction);
    if (!r)
        r = chronos_request_add(request, sizeof(request), NULL, duration);
    if (!r && target_user)
        r = chronos_request_add(request, sizeof(request), "user", target_user);
    if (r)
        return partitioner_fail(r, "\"%.40s\" is not the name of a user.", target_user);
    return chronos_request_partition(handle, device, request, partition_id, partition_id_size);
}

int chronos_release_partition(ChronosPartitionerHandle handle, const char *partition_id)
{
    char path[64];
    uint64_t id;
    bool tried = false;
    int r = partitioner_check(handle, partition_id);
    if (r || !chronos_parse_id(partition_id, &id))
        return r;
    snprintf(path, sizeof(path), "partitions/%s", partition_id);
    do {
        r = unlinkat(handle->mount.root, path, 0) == 0 ? 0 : -errno;
    } while (partitioner_again(handle, r, &tried));
    if (r)
        r = partitioner_report(handle, partition_id, "Cannot release the partition", r);
    /* Not before the removal: forked children can have copies. */
    if (!r || r == -ENOENT)
        held_close(&handle->held, id);
    return r;
}

int chronos_extend_partition(ChronosPartitionerHandle handle, const char *partition_id,
                             int64_t seconds)
{
    char change[32];
    int r = partitioner_check(handle, partition_id);
    if (r || seconds == 0)
        return r;
    snprintf(change, sizeof(change), "%+" PRId64, seconds);
    return partitioner_write(handle, partition_id, "remaining", change,
                             "Cannot change the partition");
}

/* Check that `name` can be a file of a partition. */
static int check_name(const char *name)
{
    if (name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && strlen(name) < 64)
        return 0;
    return partitioner_fail(-EINVAL, "\"%.40s\" is not the name of a file.", name);
}

int chronos_set_value(ChronosPartitionerHandle handle, const char *partition_id, const char *name,
                      const char *value)
{
    int r = partitioner_check(handle, partition_id);
    if (!r)
        r = check_name(name);
    if (r)
        return r;
    if (strchr(value, '\n'))
        return partitioner_fail(-EINVAL, "A value is one line.");
    return partitioner_write(handle, partition_id, name, value, "Cannot change the partition");
}

int chronos_get_value(ChronosPartitionerHandle handle, const char *partition_id, const char *name,
                      char *text, size_t size)
{
    int r = partitioner_check(handle, partition_id);
    if (!r)
        r = check_name(name);
    if (r)
        return r;
    if (size == 0)
        return partitioner_fail(-EINVAL, "A text needs at least one byte.");
    int fd = partitioner_file(handle, partition_id, name, O_RDONLY);
    ssize_t length = fd < 0 ? fd : read(fd, text, size - 1);
    r = fd < 0 ? fd : length < 0 ? -errno : 0;
    fd_close(fd);
    if (r)
        return partitioner_report(handle, partition_id, "The partition could not be read", r);
    if (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    return 0;
}
