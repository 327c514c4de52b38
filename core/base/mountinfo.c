/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading /proc/PID/mountinfo; see mountinfo.h. A line is
 *   36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 * with any number of words before the dash.
 */
#include "mountinfo.h"

#include "fd.h"
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Undo, in place, the kernel's \ooo escapes for blanks, newlines and backslashes in paths. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (*from == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* Parse decimal digits. Not strtol: newer headers replace it by one that old C libraries lack. */
static int parse_id(const char *digits)
{
    unsigned id = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++)
        id = id * 10 + (unsigned)(*digits - '0');
    return (int)id;
}

bool mountinfo_parse(char *line, struct mountinfo *ret_mount)
{
    char *field[6], *tail[3], *rest = NULL;
    line[strcspn(line, "\n")] = '\0';
    char *dash = strstr(line, " - ");
    if (!dash)
        return false;
    *dash = '\0';
    for (size_t i = 0; i < 6; i++) {
        field[i] = strtok_r(i == 0 ? line : NULL, " ", &rest);
        if (!field[i])
            return false;
    }
    /* A source can be empty: two blanks in a row. */
    tail[0] = dash + 3;
    for (size_t i = 1; i < 3; i++) {
        char *blank = strchr(tail[i - 1], ' ');
        if (!blank)
            return false;
        *blank = '\0';
        tail[i] = blank + 1;
    }
    unescape(field[3]);
    unescape(field[4]);
    unescape(tail[1]);
    *ret_mount = (struct mountinfo){.id = parse_id(field[0]),
                                    .parent = parse_id(field[1]),
                                    .device = field[2],
                                    .root = field[3],
                                    .point = field[4],
                                    .type = tail[0],
                                    .source = tail[1],
                                    .options = tail[2]};
    return true;
}

bool mountinfo_number(const struct mountinfo *mount, const char *name, unsigned long *ret_number)
{
    size_t length = strlen(name);
    for (const char *word = mount->options; *word; word += strcspn(word, ",")) {
        word += *word == ',';
        if (strncmp(word, name, length) != 0 || word[length] != '=')
            continue;
        const char *digits = word + length + 1;
        size_t count = strspn(digits, "0123456789");
        if (count == 0 || count > 10 || (digits[count] && digits[count] != ','))
            return false;
        unsigned long number = 0;
        for (size_t i = 0; i < count; i++)
            number = number * 10 + (unsigned long)(digits[i] - '0');
        *ret_number = number;
        return true;
    }
    return false;
}

int mountinfo_open(struct mountinfo_reader *ret_reader, int proc_fd)
{
    char path[PROCFS_PATH_MAX] = "self/mountinfo";
    if (proc_fd < 0)
        procfs_path("self/mountinfo", path);
    int fd = openat(proc_fd < 0 ? AT_FDCWD : proc_fd, path, O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        int r = -errno;
        fd_close(fd);
        return r;
    }
    *ret_reader = (struct mountinfo_reader){.file = file};
    return 0;
}

bool mountinfo_next(struct mountinfo_reader *reader, struct mountinfo *ret_mount)
{
    while (getline(&reader->line, &reader->room, reader->file) > 0) {
        if (mountinfo_parse(reader->line, ret_mount))
            return true;
    }
    return false;
}

void mountinfo_close(struct mountinfo_reader *reader)
{
    free(reader->line);
    fclose(reader->file);
    *reader = (struct mountinfo_reader){.file = NULL};
}
