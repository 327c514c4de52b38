/* SPDX-License-Identifier: Apache-2.0 */
/* The records of jobs; see record.h. Three lines: request, id, sentence. */
#include "record.h"

#include "core/base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SIZE 16

static void set_name(char name[static NAME_SIZE], uint32_t job)
{
    snprintf(name, NAME_SIZE, "%" PRIu32, job);
}

int record_directory(const char *path)
{
    struct stat found;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &found) != 0 ? -errno : 0;
    if (!r && (found.st_uid != geteuid() || (found.st_mode & 022) != 0))
        r = -EPERM;
    if (!r)
        return fd;
    fd_close(fd);
    return r;
}

/* Move the next line of *text, without its newline, to `line`. False: there is none, or it is too
 * long. */
static bool take_line(const char **text, char *line, size_t size)
{
    size_t length = strcspn(*text, "\n");
    if ((*text)[length] != '\n' || length >= size)
        return false;
    memcpy(line, *text, length);
    line[length] = '\0';
    *text += length + 1;
    return true;
}

int record_read(int directory, uint32_t job, struct record *ret_record)
{
    char name[NAME_SIZE], text[sizeof(struct record)];
    struct record record;
    const char *at = text;
    set_name(name, job);
    ssize_t length = fd_read_text(directory, name, text, sizeof(text));
    if (length < 0)
        return (int)length;
    if (!take_line(&at, record.request, sizeof(record.request)) ||
        !take_line(&at, record.id, sizeof(record.id)) ||
        !take_line(&at, record.sentence, sizeof(record.sentence)))
        return -EPROTO;
    *ret_record = record;
    return 0;
}

int record_write(int directory, uint32_t job, const struct record *record)
{
    char name[NAME_SIZE];
    set_name(name, job);
    FILE *file = replace_begin(directory, name);
    if (!file)
        return -errno;
    fprintf(file, "%s\n%s\n%s\n", record->request, record->id, record->sentence);
    return replace_end(file, directory, name);
}

void record_remove(int directory, uint32_t job)
{
    char name[NAME_SIZE + 8];
    set_name(name, job);
    unlinkat(directory, name, 0);
    strcat(name, ".lock");
    unlinkat(directory, name, 0);
}

bool record_exists(int directory, uint32_t job)
{
    char name[NAME_SIZE];
    set_name(name, job);
    /* What cannot be looked at may be there: its partition is not left over. */
    return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

int record_lock(int directory, uint32_t job)
{
    char name[NAME_SIZE + 8];
    set_name(name, job);
    strcat(name, ".lock"); /* the record itself is replaced */
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX) == 0)
        return fd;
    int r = -errno;
    fd_close(fd);
    return r;
}
