/* SPDX-License-Identifier: Apache-2.0 */
/* Read the state of a container; see oci_state.h. */
#include "oci_state.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Values that are nested deeper are not understood. */
#define DEPTH_MAX 64

struct reader {
    const char *at, *end;
    int pid;   /* 0: none yet */
    bool both; /* there are two */
};

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && memchr(" \t\r\n", *reader->at, 4))
        reader->at++;
}

/* Take this character, after blanks. */
static bool take(struct reader *reader, char wanted)
{
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

/* Take a string. *ret_text is what is between the quotes, as it is written. */
static bool take_string(struct reader *reader, const char **ret_text, size_t *ret_length)
{
    if (!take(reader, '"'))
        return false;
    const char *text = reader->at;
    for (; reader->at < reader->end && *reader->at != '"'; reader->at++) {
        if ((unsigned char)*reader->at < 0x20)
            return false;
        if (*reader->at == '\\' && ++reader->at == reader->end)
            return false;
    }
    if (reader->at == reader->end)
        return false;
    *ret_text = text;
    *ret_length = (size_t)(reader->at++ - text);
    return true;
}

/* Take a number, true, false or null. */
static bool take_word(struct reader *reader, const char **ret_text, size_t *ret_length)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
    skip_blanks(reader);
    *ret_text = reader->at;
    while (reader->at < reader->end && memchr(letters, *reader->at, sizeof(letters) - 1))
        reader->at++;
    *ret_length = (size_t)(reader->at - *ret_text);
    return *ret_length > 0;
}

/* Return the number, or 0 if it is none that a process can have. */
static int to_pid(const char *text, size_t length)
{
    int number = 0;
    if (length > 9 || text[0] == '0')
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

static bool take_value(struct reader *reader, int depth);

static bool take_array(struct reader *reader, int depth)
{
    if (take(reader, ']'))
        return true;
    do {
        if (!take_value(reader, depth + 1))
            return false;
    } while (take(reader, ','));
    return take(reader, ']');
}

/* Note the value of "pid", which is a number. */
static bool take_pid(struct reader *reader)
{
    const char *text;
    size_t length;
    reader->both |= reader->pid != 0;
    if (!take_word(reader, &text, &length))
        return false;
    reader->pid = to_pid(text, length);
    return true;
}

static bool take_object(struct reader *reader, int depth)
{
    const char *name;
    size_t length;
    if (take(reader, '}'))
        return true;
    do {
        if (!take_string(reader, &name, &length) || !take(reader, ':'))
            return false;
        bool is_pid = depth == 0 && length == 3 && memcmp(name, "pid", 3) == 0;
        if (is_pid ? !take_pid(reader) : !take_value(reader, depth + 1))
            return false;
    } while (take(reader, ','));
    return take(reader, '}');
}

static bool take_value(struct reader *reader, int depth)
{
    const char *text;
    size_t length;
    skip_blanks(reader);
    if (depth > DEPTH_MAX || reader->at == reader->end)
        return false;
    switch (*reader->at) {
    case '{':
        reader->at++;
        return take_object(reader, depth);
    case '[':
        reader->at++;
        return take_array(reader, depth);
    case '"':
        return take_string(reader, &text, &length);
    default:
        return take_word(reader, &text, &length);
    }
}

int oci_state_pid(const char *text, size_t length, int *ret_pid)
{
    struct reader reader = {.at = text, .end = text + length};
    if (!take(&reader, '{') || !take_object(&reader, 0) || reader.both)
        return -EINVAL;
    skip_blanks(&reader);
    if (reader.at != reader.end)
        return -EINVAL;
    if (reader.pid == 0)
        return -ENOENT;
    *ret_pid = reader.pid;
    return 0;
}
