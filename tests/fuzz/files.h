/* SPDX-License-Identifier: Apache-2.0 */
/* Files in memory, for code that reads files: their directory is removed at exit. */
#ifndef CHRONOS_FUZZ_FILES_H
#define CHRONOS_FUZZ_FILES_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static char files_dir[64];

static void files_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", files_dir);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", files_dir);
}

/* The directory; the first call makes it. */
static const char *files_directory(void)
{
    if (files_dir[0] == '\0') {
        snprintf(files_dir, sizeof(files_dir), "/dev/shm/fuzz-files-XXXXXX");
        REQUIRE(mkdtemp(files_dir));
        atexit(files_remove);
    }
    return files_dir;
}

/* Opens a file in it for files_put, with the directory that it is in. */
static int files_open(const char *directory, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", files_directory(), directory);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/%s/%s", files_directory(), directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    return fd;
}

static void files_put(int fd, const uint8_t *data, size_t size)
{
    REQUIRE(pwrite(fd, data, size, 0) == (ssize_t)size && ftruncate(fd, (off_t)size) == 0);
}

#endif
