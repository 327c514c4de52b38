/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes requests into `new`, as a shell would echo them. It must not know who
 * asks, or what becomes of the partition.
 */
#include "request.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Which option becomes which key. */
static const struct {
    const char *option, *key;
} keys[] = {
#define KEY(name, option, value, doc) {option, #name},
#include "core/engine/request.def"
};

/* A blank would make two words of one, and a request nobody asked for. */
static bool one_word(const char *text)
{
    return text[0] != '\0' && strpbrk(text, " \t\r\n") == NULL;
}

/* Adds " KEY=VALUE"; a word if `key` is NULL. The length grows past the size when
 * it does not fit, as snprintf's does. 0 or EXIT_USAGE. */
static int add_word(const struct args *args, const char *key, const char *value, char *line,
                    size_t size, size_t *used)
{
    if (!one_word(value))
        return usage_error(args->command, "\"%s\" is not one word.", value);
    int length = snprintf(*used < size ? line + *used : NULL, *used < size ? size - *used : 0,
                          "%s%s%s%s", *used > 0 ? " " : "", key ? key : "", key ? "=" : "", value);
    *used += length > 0 ? (size_t)length : 0;
    return 0;
}

int request_line(const struct args *args, const char *amount, const char *duration,
                 const char *more, char *line, size_t size)
{
    size_t used = 0;
    int result = add_word(args, NULL, amount, line, size, &used);
    if (result == 0)
        result = add_word(args, NULL, duration, line, size, &used);
    for (size_t i = 0; result == 0 && i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = args_option(args, keys[i].option);
        if (value != NULL)
            result = add_word(args, keys[i].key, value, line, size, &used);
    }
    if (result != 0)
        return result;
    if (used + strlen(more) + 2 > size)
        return usage_error(args->command, "The request is too long.");
    snprintf(line + used, size - used, "%s\n", more);
    return 0;
}

int request_open(const struct tree *tree, const char *device, int *ret_file)
{
    char path[32] = "new";
    unsigned index;
    if (strcmp(device, "any") != 0) {
        if (!device_parse(device, &index))
            return no_device(device);
        snprintf(path, sizeof path, "gpu%u/new", index);
    }
    int file = openat(tree->root, path, O_RDWR | O_CLOEXEC);
    if (file >= 0) {
        *ret_file = file;
        return 0;
    }
    if (is_gone(-errno))
        return no_device(device);
    if (errno == EACCES || errno == EPERM) {
        say("Permission denied: you may not ask for partitions of device %s.", device);
        return EXIT_REFUSED;
    }
    return tree_failed(tree, "No request can be made", -errno);
}

int request_ask(const struct tree *tree, int file, const char *line, char *id, size_t size)
{
    /* A name that is not in the system's files takes a moment to be looked up. */
    for (int tries = 0; write(file, line, strlen(line)) < 0; tries++) {
        if (errno != EAGAIN || tries == 100)
            return tree_refused(tree, -errno);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    ssize_t length = read(file, id, size - 1);
    if (length < 0)
        return tree_failed(tree, "The partition was made, but its id could not be read", -errno);
    id[length] = '\0';
    id[strcspn(id, "\n")] = '\0';
    uint64_t checked;
    if (!id_parse(id, &checked))
        return tree_failed(tree, "The partition was made, but its id could not be read", -EPROTO);
    return 0;
}
