/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split lines of `events` and `history`. It must not know the kinds of events, so that those of
 * later versions pass.
 */
#include "client.h"

#include <stdio.h>
#include <string.h>

void chronos_line_split(const char *text, size_t length, struct chronos_line *ret_line)
{
    struct chronos_line *line = ret_line;
    snprintf(line->text, sizeof(line->text), "%.*s", (int)length, text);
    chronos_clean(line->text);
    line->count = 0;
    char *rest = line->text;
    while (rest && *rest != '\0' && line->count < CHRONOS_LINE_WORDS) {
        line->words[line->count++] = rest;
        rest = strchr(rest, ' ');
        if (rest)
            *rest++ = '\0';
    }
}

const char *chronos_line_value(const struct chronos_line *line, const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < line->count; i++) {
        if (strncmp(line->words[i], key, length) == 0 && line->words[i][length] == '=')
            return line->words[i] + length + 1;
    }
    return "";
}
