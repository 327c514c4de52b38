/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write requests to `new`, as a shell would. Only the filesystem knows which amounts and durations
 * are valid.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRY_NS  50000000
#define RETRY_MAX 100

int chronos_request_add(char *line, size_t size, const char *key, const char *value)
{
    /* Refuse blanks, which would split the word and change the request, and what no request may
     * have. */
    if (value[0] == '\0')
        return -EINVAL;
    for (const char *at = value; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~')
            return -EINVAL;
    }
    size_t used = strlen(line);
    int length = snprintf(line + used, size - used, "%s%s%s%s", used > 0 ? " " : "", key ? key : "",
                          key ? "=" : "", value);
    if (length >= 0 && (size_t)length < size - used)
        return 0;
    line[used] = '\0';
    return -E2BIG;
}

int chronos_request_open(const struct chronos_mount *mount, const char *device, int *ret_fd)
{
    char path[32] = "new";
    unsigned index;
    if (strcmp(device, "any") != 0) {
        if (!chronos_parse_device(device, &index))
            return -ENODEV;
        snprintf(path, sizeof(path), "gpu%u/new", index);
    }
    int fd = chronos_open(mount->root, path, O_RDWR);
    if (fd < 0)
        return chronos_is_gone(fd) ? -ENODEV : fd;
    *ret_fd = fd;
    return 0;
}

int chronos_request_send(int fd, const char *line)
{
    char text[1024];
    int length = snprintf(text, sizeof(text), "%s\n", line);
    if (length < 0 || (size_t)length >= sizeof(text))
        return -E2BIG;
    /* EAGAIN: the daemon is still looking up a user's name. */
    for (int tries = 0; write(fd, text, (size_t)length) < 0; tries++) {
        if (errno != EAGAIN || tries == RETRY_MAX)
            return -errno;
        nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
    return 0;
}

int chronos_request_reason(int fd, char *ret_message, size_t size)
{
    char text[512];
    uint64_t number;
    ssize_t length = read(fd, text, sizeof(text) - 1);
    if (length <= 0)
        return -ENOENT;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0' || chronos_parse_id(text, &number))
        return -ENOENT;
    snprintf(ret_message, size, "%s", text);
    return 0;
}

int chronos_request_id(int fd, char ret_id[static CHRONOS_ID_MAX])
{
    char id[CHRONOS_ID_MAX];
    uint64_t number;
    ssize_t length = read(fd, id, sizeof(id) - 1);
    if (length < 0)
        return -errno;
    id[length] = '\0';
    id[strcspn(id, "\n")] = '\0';
    if (!chronos_parse_id(id, &number))
        return -EPROTO;
    memcpy(ret_id, id, sizeof(id));
    return 0;
}
