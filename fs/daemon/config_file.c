/* SPDX-License-Identifier: Apache-2.0 */
/* Read and check a file of settings; see config_file.h. It must not know how they take effect. */
#include "config_file.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/others.h"
#include "core/engine/engine.h"
#include "core/engine/policy.h"
#include "fs/fuse/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX   65535
#define TEXT_MAX   8192 /* room for all settings */
#define BLANKS     " \t"
#define ROWS_MAX   64
#define KEPT_AS_IS "drain" /* of this one machine: a restart must not put it back into service */

/* What the lines have said so far, by the row's number. */
struct settings {
    const char *path;
    struct policy policy;
    unsigned lines[ROWS_MAX]; /* where it was set; 0: not yet */
    char values[ROWS_MAX][ENGINE_VALUE_MAX];
};

/* -- reading ----------------------------------------------------------------- */

static int refuse_others(const char *path, struct message *message)
{
    return message_set(-EPERM, message,
                       "%.300s can be changed by users other than root, who could set the policy: "
                       "chown it to root and chmod it to go-w.",
                       path);
}

/* Links could lead elsewhere a moment later. */
static int check_path(const char *path, struct message *message)
{
    char real[PATH_MAX], part[PATH_MAX];
    if (!realpath(path, real))
        return message_set(-errno, message, "Cannot read %.300s: %s.", path, strerror(errno));
    if (strcmp(real, path) != 0)
        return message_set(-ELOOP, message,
                           "%.200s is a link or not the shortest path; give %.200s.", path, real);
    return others_check_above(path, part) ? refuse_others(part, message) : 0;
}

/* Return the length of the text, or -errno. */
static int read_text(const char *path, char text[static FILE_MAX + 1], struct message *message)
{
    struct stat st;
    ssize_t length = 0, more;
    int r = check_path(path, message);
    if (r)
        return r;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0)
        r = message_set(-errno, message, "Cannot read %.300s: %s.", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        r = message_set(-EINVAL, message, "%.300s is not a regular file.", path);
    else if (others_can_change(&st))
        r = refuse_others(path, message);
    while (!r && (more = read(fd, text + length, (size_t)(FILE_MAX + 1 - length))) != 0) {
        length += more > 0 ? more : 0;
        if (more < 0)
            r = message_set(-errno, message, "Cannot read %.300s: %s.", path, strerror(errno));
        else if (length > FILE_MAX)
            r = message_set(-EFBIG, message, "%.300s is longer than %d bytes.", path, FILE_MAX);
    }
    fd_close(fd);
    if (r)
        return r;
    text[length] = '\0';
    return (int)length;
}

/* -- lines -------------------------------------------------------------------- */

/* Refuse the file for this line. */
__attribute__((format(printf, 4, 5))) static int bad(const struct settings *settings, unsigned line,
                                                     struct message *message, const char *format,
                                                     ...)
{
    char why[ENGINE_MESSAGE_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof(why), format, list);
    va_end(list);
    return message_set(-EINVAL, message, "%.200s, line %u: %s", settings->path, line, why);
}

/* Cut blanks off both ends. */
static char *trimmed(char *text)
{
    text += strspn(text, BLANKS);
    for (size_t length = strlen(text); length > 0 && strchr(BLANKS, text[length - 1]);)
        text[--length] = '\0';
    return text;
}

static int take_setting(struct settings *settings, unsigned line, const char *name,
                        const char *value, struct message *message)
{
    const struct policy_row *row = policy_find(name);
    char quoted[MESSAGE_QUOTED_MAX], why[ENGINE_MESSAGE_MAX];
    if (!row) {
        message_quote(name, strlen(name), quoted);
        return bad(settings, line, message,
                   "There is no setting \"%s\"; the settings are the files in config/.", quoted);
    }
    size_t index = (size_t)(row - policy_rows);
    if (settings->lines[index])
        return bad(settings, line, message, "%s is set in line %u already; remove one of the two.",
                   name, settings->lines[index]);
    if (value[0] == '\0' || strlen(value) >= ENGINE_VALUE_MAX)
        return bad(settings, line, message, "%s %s; its default is %s.", name,
                   value[0] == '\0' ? "has no value" : "has too long a value", row->default_value);
    if (strcmp(value, "default") == 0)
        value = row->default_value;
    if (policy_set(&settings->policy, name, value, settings->values[index], ENGINE_VALUE_MAX, why,
                   sizeof(why)) != 0)
        return bad(settings, line, message, "%s", why);
    settings->lines[index] = line;
    return 0;
}

static int take_line(struct settings *settings, unsigned line, char *text, struct message *message)
{
    char quoted[MESSAGE_QUOTED_MAX];
    text = trimmed(text);
    if (text[0] == '\0' || text[0] == '#')
        return 0;
    char *equals = strchr(text, '=');
    if (!equals) {
        message_quote(text, strlen(text), quoted);
        return bad(settings, line, message,
                   "\"%s\" sets nothing; write NAME = VALUE, as in max_duration = 24h.", quoted);
    }
    *equals = '\0';
    return take_setting(settings, line, trimmed(text), trimmed(equals + 1), message);
}

/* Write what the file decides. Return how many settings it names. */
static int print(const struct settings *settings, char text[static TEXT_MAX])
{
    int count = 0;
    size_t used = 0;
    text[0] = '\0';
    for (const struct policy_row *row = policy_rows; row->name; row++) {
        size_t index = (size_t)(row - policy_rows);
        bool named = settings->lines[index] != 0;
        count += named;
        if (named || strcmp(row->name, KEPT_AS_IS) != 0)
            used += (size_t)snprintf(text + used, TEXT_MAX - used, "%s=%s\n", row->name,
                                     named ? settings->values[index] : "default");
    }
    return count;
}

static int take_text(struct settings *settings, char *text, int length, struct message *message)
{
    unsigned line = 0;
    char *rest = text, *next;
    int r = 0;
    while (!r && (next = strsep(&rest, "\n"))) {
        line++;
        if (strlen(next) != (rest ? (size_t)(rest - next - 1) : (size_t)(text + length - next)))
            return bad(settings, line, message, "%s", "There is a NUL byte; it must be text.");
        r = take_line(settings, line, next, message);
    }
    return r;
}

/* Return how many settings the file names, or -errno. */
static int read_file(const char *path, char ret_text[static TEXT_MAX], struct message *message)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    char *text = malloc(FILE_MAX + 1);
    int r = settings && text ? read_text(path, text, message) : -ENOMEM;
    if (r >= 0) {
        settings->path = path;
        policy_init(&settings->policy);
        r = take_text(settings, text, r, message);
    }
    if (!r)
        r = print(settings, ret_text);
    free(text);
    free(settings);
    return r;
}

int config_file_check(const char *path, struct message *message)
{
    char text[TEXT_MAX];
    int r = read_file(path, text, message);
    return r < 0 ? r
                 : message_set(0, message, "%.400s is good; it has %d setting%s.", path, r,
                               r == 1 ? "" : "s");
}

int config_file_pass_on(const char *path, struct message *message)
{
    char text[TEXT_MAX];
    unsetenv(WORKER_SETTINGS);
    if (path[0] == '\0')
        return 0;
    int r = read_file(path, text, message);
    if (r < 0)
        return r;
    return setenv(WORKER_SETTINGS, text, 1) == 0 ? 0 : -errno;
}
