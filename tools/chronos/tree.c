/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing the files of the tree, and saying what went wrong. It must
 * not know what the files mean.
 */
#include "tree.h"
#include "command.h"
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How the filesystem begins every message about ENOSPC. */
#define NO_SPACE "Not enough available memory"

int tree_read(int directory, const char *path, char *text, size_t size)
{
    int file = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t length = read(file, text, size - 1);
    int error = length < 0 ? -errno : 0;
    close(file);
    if (error != 0)
        return error;
    if (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    return 0;
}

int tree_read_fd(int file, char **ret_text)
{
    size_t room = 16384, used = 0;
    char *text = malloc(room);
    while (text != NULL) {
        ssize_t length = pread(file, text + used, room - used - 1, (off_t)used);
        if (length < 0) {
            int error = -errno;
            free(text);
            return error;
        }
        if (length == 0) {
            text[used] = '\0';
            *ret_text = text;
            return 0;
        }
        used += (size_t)length;
        if (room - used < 4096) {
            char *larger = realloc(text, room *= 2);
            if (larger == NULL)
                free(text);
            text = larger;
        }
    }
    return -ENOMEM;
}

int tree_read_all(int directory, const char *path, char **ret_text)
{
    int file = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    int error = tree_read_fd(file, ret_text);
    close(file);
    return error;
}

int tree_write(int directory, const char *path, const char *text)
{
    char line[512];
    int length = snprintf(line, sizeof line, "%s\n", text);
    if (length < 0 || (size_t)length >= sizeof line)
        return -E2BIG;
    int file = openat(directory, path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t done = write(file, line, (size_t)length);
    int error = done < 0 ? -errno : 0;
    close(file);
    return error;
}

int tree_refused(const struct tree *tree, int error)
{
    char message[512];
    bool space = error == -ENOSPC;
    /* the same user may have been told something else in between */
    if (tree_read(tree->root, "status", message, sizeof message) == 0 && message[0] != '\0' &&
        (!space || strncmp(message, NO_SPACE, strlen(NO_SPACE)) == 0))
        say("%s", message);
    else if (space)
        say("%s.", NO_SPACE);
    else
        say("%s.", strerror(-error));
    return EXIT_REFUSED;
}

int tree_failed(const struct tree *tree, const char *what, int error)
{
    say("%s: %s (the chronosfs on %s).", what, strerror(-error), tree->path);
    return error == -ENOTCONN ? EXIT_NO_MOUNT : EXIT_REFUSED;
}

/* The digits after `prefix`, as numbers are written: no sign, no leading zero. */
static bool number_parse(const char *text, const char *prefix, uint64_t *ret_number)
{
    size_t length = strlen(prefix);
    if (strncmp(text, prefix, length) != 0)
        return false;
    text += length;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
        return false;
    *ret_number = number(text);
    return true;
}

bool device_parse(const char *text, unsigned *ret_index)
{
    uint64_t index;
    if ((!number_parse(text, "gpu", &index) && !number_parse(text, "", &index)) || index > 9999)
        return false;
    *ret_index = (unsigned)index;
    return true;
}

bool id_parse(const char *text, uint64_t *ret_id)
{
    return number_parse(text, "p", ret_id);
}

static int compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

int tree_numbers(int directory, const char *path, const char *prefix, uint64_t **ret_numbers,
                 size_t *ret_count)
{
    int file = openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = file < 0 ? NULL : fdopendir(file);
    if (stream == NULL)
        return -errno;
    uint64_t *numbers = NULL, found;
    size_t count = 0, room = 0;
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        if (!number_parse(entry->d_name, prefix, &found))
            continue;
        if (count == room) {
            room = room * 2 + 64;
            uint64_t *larger = realloc(numbers, room * sizeof *numbers);
            if (larger == NULL) {
                free(numbers);
                closedir(stream);
                return -ENOMEM;
            }
            numbers = larger;
        }
        numbers[count++] = found;
    }
    closedir(stream);
    if (count > 1)
        qsort(numbers, count, sizeof *numbers, compare);
    *ret_numbers = numbers;
    *ret_count = count;
    return 0;
}

int no_partition(const char *text)
{
    say("There is no partition %s.", text);
    return EXIT_UNKNOWN;
}

int no_device(const char *text)
{
    say("There is no device %s.", text);
    return EXIT_UNKNOWN;
}
