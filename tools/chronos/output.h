/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How answers leave the program: plain lines for scripts, tables with colour for a terminal,
 * and JSON. Answers, and only they, go to stdout through stdio.
 */
#ifndef CHRONOS_TOOLS_OUTPUT_H
#define CHRONOS_TOOLS_OUTPUT_H

#include "tools/libchronos/chronos.h"

/* "chronos: ..." and a newline on stderr, in one write. */
__attribute__((format(printf, 1, 2))) void output_message(const char *format, ...);

/* Whether a person reads the answer: stdout is a terminal. */
bool output_terminal(void);
enum colour { PLAIN, BOLD, DIM, GREEN, YELLOW, RED };
/* The sequence that switches to `colour`, or "" where colour is not wanted. */
const char *output_colour(enum colour colour);
/* Flushes stdout. 0; or EXIT_REFUSED, after a message unless the reader went away. */
int output_finish(void);

/* A table of text, which is printed when all of it is known. Without memory the program
 * exits with a message. */
struct table;
struct table *table_new(const char *const *titles); /* ends with NULL */
void table_cell(struct table *table, enum colour colour, const char *text);
void table_print(const struct table *table);
struct table *table_free(struct table *table);

/* JSON on stdout. `key` is NULL inside an array. */
struct json {
    int depth;
    bool first;    /* nothing stands before the next value in this object or array */
    bool one_line; /* without line breaks inside */
};
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket); /* the outermost ends the line */
void json_text(struct json *json, const char *key, const char *text);
/* `text` is a number as a file shows it; "max" and "" become null, other text a string. */
void json_number(struct json *json, const char *key, const char *text);
/* Adds all fields of a record to an open object. */
void json_record(struct json *json, const struct chronos_field *fields,
                 const struct chronos_record *record);
/* Adds the words KEY=VALUE of a line, from word `first` on, to an open object. */
void json_line(struct json *json, const struct chronos_line *line, size_t first);

/* Numbers for people. */
void output_bytes_text(uint64_t bytes, char *text, size_t size);     /* "40.0 GiB" */
void output_seconds_text(uint64_t seconds, char *text, size_t size); /* "1h 02m" */
/* "0.5" -> "50": a decimal number times a hundred. */
void output_percent_text(const char *fraction, char *text, size_t size);

#endif
