/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of chronos.h for programs inside partitions: joining, leaving, their environment, and
 * how much time is left. */
#include "partitioner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_pid(struct chronos_partitioner *self, const char *id, pid_t pid, const char *what)
{
    char text[16];
    if (pid < 0)
        return partitioner_fail(-EINVAL, "%d is not a process.", (int)pid);
    snprintf(text, sizeof(text), "%d", (int)pid);
    return partitioner_write(self, id, "procs", text, what);
}

int chronos_join(ChronosPartitionerHandle handle, const char *partition_id, pid_t pid)
{
    int r = partitioner_check(handle, partition_id);
    return r ? r : write_pid(handle, partition_id, pid, "Cannot join the partition");
}

int chronos_leave(ChronosPartitionerHandle handle, pid_t pid)
{
    int r = partitioner_check(handle, NULL);
    return r ? r : write_pid(handle, NULL, pid, "Cannot leave the partition");
}

int64_t chronos_remaining(ChronosPartitionerHandle handle, const char *partition_id)
{
    char text[32];
    int r = partitioner_check(handle, partition_id);
    if (r)
        return r;
    int fd = partitioner_file(handle, partition_id, "remaining", O_RDONLY);
    ssize_t length = fd < 0 ? fd : read(fd, text, sizeof(text) - 1);
    r = fd < 0 ? fd : length < 0 ? -errno : 0;
    fd_close(fd);
    if (chronos_is_gone(r))
        return 0;
    if (r)
        return partitioner_report(handle, partition_id, "The partition could not be read", r);
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return (int64_t)chronos_number(text);
}

int chronos_get_environment(ChronosPartitionerHandle handle, const char *partition_id,
                            char **ret_text)
{
    static const char what[] = "Cannot read the environment";
    char *text = NULL;
    int r = partitioner_check(handle, partition_id);
    if (r)
        return r;
    int directory = partitioner_file(handle, partition_id, "", O_PATH | O_DIRECTORY);
    r = directory < 0 ? directory : chronos_variables_read(directory, &text);
    fd_close(directory);
    if (r)
        return partitioner_report(handle, partition_id, what, r);
    *ret_text = text;
    return 0;
}

int chronos_fd(ChronosPartitionerHandle handle, const char *partition_id)
{
    int r = partitioner_check(handle, partition_id);
    if (r)
        return r;
    int fd = partitioner_file(handle, partition_id, "state", O_RDONLY);
    return fd < 0 ? partitioner_report(handle, partition_id, "The partition could not be read", fd)
                  : fd;
}

/* Read the state of an open file, which is seen then. */
static int read_state(int fd)
{
    char state[32];
    ssize_t length = pread(fd, state, sizeof(state) - 1, 0);
    int r = length < 0 ? -errno : 0;
    if (chronos_is_gone(r))
        return CHRONOS_ENDED;
    if (r == -ENOTCONN || r == -ECONNABORTED)
        return partitioner_fail(-ENOTCONN, "The chronosfs of this descriptor is no longer running; "
                                           "open another descriptor.");
    if (r)
        return partitioner_fail(r, "The state of the partition cannot be read: error %d.", -r);
    state[length] = '\0';
    if (strncmp(state, "pending", 7) == 0 || strncmp(state, "suspended", 9) == 0)
        return CHRONOS_PENDING;
    return strncmp(state, "expiring", 8) == 0 ? CHRONOS_EXPIRING : CHRONOS_ACTIVE;
}

int chronos_wait(int fd, int timeout_ms)
{
    struct pollfd waited = {.fd = fd, .events = POLLPRI};
    if (fd < 0) /* poll(2) would wait for nothing */
        return partitioner_fail(-EBADF, "Descriptor %d is not open.", fd);
    if (timeout_ms == 0)
        return read_state(fd);
    int ready = poll(&waited, 1, timeout_ms);
    if (ready < 0)
        return errno == EINTR ? partitioner_fail(-EINTR, "Interrupted by a signal.")
                              : partitioner_fail(-errno, "Cannot wait for the partition.");
    if (ready == 0)
        return partitioner_fail(-ETIMEDOUT, "The partition did not change in %d ms.", timeout_ms);
    if (waited.revents & POLLNVAL)
        return partitioner_fail(-EBADF, "Descriptor %d is not open.", fd);
    return read_state(fd);
}
