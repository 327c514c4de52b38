/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes lines of `events` and `history` apart. It must not know the kinds of
 * events: what a later version adds goes through as it is.
 */
#include "line.h"

#include <stdio.h>
#include <string.h>

void line_split(const char *text, size_t length, struct line *ret_line)
{
    struct line *line = ret_line;
    snprintf(line->text, sizeof line->text, "%.*s", (int)length, text);
    line->count = 0;
    char *rest = line->text;
    while (rest != NULL && *rest != '\0' && line->count < LINE_WORDS) {
        line->words[line->count++] = rest;
        rest = strchr(rest, ' ');
        if (rest != NULL)
            *rest++ = '\0';
    }
}

const char *line_value(const struct line *line, const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < line->count; i++) {
        if (strncmp(line->words[i], key, length) == 0 && line->words[i][length] == '=')
            return line->words[i] + length + 1;
    }
    return "";
}

void line_json(struct json *json, const struct line *line, size_t first)
{
    /* A label may look like a number: only what is known to be one is one. */
    static const char *const numbers[][2] = {{"memory", "memory_bytes"},
                                             {"memory_peak", "memory_peak_bytes"},
                                             {"gpu_time", "gpu_time_seconds"}};
    for (size_t i = first; i < line->count; i++) {
        char key[64];
        const char *value = strchr(line->words[i], '=');
        if (value == NULL)
            continue;
        snprintf(key, sizeof key, "%.*s", (int)(value - line->words[i]), line->words[i]);
        size_t n = 0;
        while (n < sizeof numbers / sizeof numbers[0] && strcmp(key, numbers[n][0]) != 0)
            n++;
        if (n < sizeof numbers / sizeof numbers[0])
            json_number(json, numbers[n][1], value + 1);
        else
            json_text(json, key, value + 1);
    }
}
