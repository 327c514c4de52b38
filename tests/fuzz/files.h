/* SPDX-License-Identifier: Apache-2.0 */
/* Files in memory, for code that reads files, in a directory that `run` removes. */
#ifndef CHRONOS_FUZZ_FILES_H
#define CHRONOS_FUZZ_FILES_H

#include "tests/fuzz/require.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char files_dir[64];

/* The directory; the first call makes it. */
static const char *files_directory(void)
{
    if (files_dir[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        snprintf(files_dir, sizeof(files_dir), "%.40s/files-XXXXXX", parent ? parent : "/dev/shm");
        REQUIRE(mkdtemp(files_dir));
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
