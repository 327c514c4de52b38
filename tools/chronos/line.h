/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of `events` or `history`, taken apart: some words, then key=value.
 */
#ifndef CHRONOS_CHRONOS_LINE_H
#define CHRONOS_CHRONOS_LINE_H

#include "output.h"

#include <stddef.h>

#define LINE_WORDS 24

struct line {
    char text[512];
    const char *words[LINE_WORDS];
    size_t count;
};

/* Takes `text` (one line, `length` bytes) apart. */
void line_split(const char *text, size_t length, struct line *ret_line);
/* The value of key=..., "" if there is none. */
const char *line_value(const struct line *line, const char *key);
/* Adds all the key=value words from word `first` on to an open JSON object. */
void line_json(struct json *json, const struct line *line, size_t first);

#endif
