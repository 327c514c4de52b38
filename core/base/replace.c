/* SPDX-License-Identifier: Apache-2.0 */
/* Replace a file as a whole; see replace.h. */
#include "replace.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_MAX_SIZE 64

static const char *new_name(const char *name, char text[static NAME_MAX_SIZE])
{
    snprintf(text, NAME_MAX_SIZE, "%s.new", name);
    return text;
}

FILE *replace_begin(int dir, const char *name)
{
    char text[NAME_MAX_SIZE];
    int fd = openat(dir, new_name(name, text),
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        fd_close(fd);
    return file;
}

int replace_end(FILE *file, int dir, const char *name)
{
    char text[NAME_MAX_SIZE];
    int r = ferror(file) ? -EIO : 0;
    if (fclose(file) != 0)
        r = -errno;
    if (!r && renameat(dir, new_name(name, text), dir, name) != 0)
        r = -errno;
    return r;
}
