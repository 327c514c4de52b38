/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of plain files, for the calls that read and write one. */
#ifndef CHRONOS_TESTS_LIBCHRONOS_FIXTURE_H
#define CHRONOS_TESTS_LIBCHRONOS_FIXTURE_H

#include "tests/check.h"
#include "tools/libchronos/client.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[SCRATCH_MAX];
static struct chronos_mount tree = {.root = -1};

static inline void begin(void)
{
    scratch_make(directory);
    tree.root = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(tree.path, sizeof(tree.path), "%s", directory);
}

static inline void end(void)
{
    char command[128];
    chronos_mount_close(&tree);
    ck_assert_int_eq(tree.root, -1);
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    ck_assert_int_eq(system(command), 0);
}

/* Writes a file, and creates the directories on the way to it. */
static inline void put(const char *path, const char *text)
{
    char name[256];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
        mkdirat(tree.root, name, 0700);
    }
    snprintf(name, sizeof(name), "%s/%s", directory, path);
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

#endif
