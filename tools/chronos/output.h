/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How answers leave the program: plain lines for scripts, tables with colour for
 * a terminal, JSON. Answers go to stdout through stdio and nothing else does.
 */
#ifndef CHRONOS_CHRONOS_OUTPUT_H
#define CHRONOS_CHRONOS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "chronos: ..." and a newline on stderr, in one write. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* Is the answer read by a person? */
bool output_terminal(void);
enum colour { PLAIN, BOLD, DIM, GREEN, YELLOW, RED };
/* What switches `colour` on, or "" where colour is not wanted. PLAIN ends it. */
const char *output_colour(enum colour colour);
/* Writes out what is buffered. 0, or says what failed and returns EXIT_REFUSED;
 * a reader that went away is no failure worth a word. */
int output_finish(void);

/* A table of text, printed when all of it is known. */
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
/* `text` is a number as a file prints it; "max" and "" become null, anything
 * else a string. */
void json_number(struct json *json, const char *key, const char *text);

/* Numbers for people. */
void bytes_text(uint64_t bytes, char *text, size_t size);     /* "40.0 GiB" */
void seconds_text(uint64_t seconds, char *text, size_t size); /* "1h 02m" */
/* "0.5" -> "50": a decimal number times a hundred. */
void percent_of(const char *fraction, char *text, size_t size);
/* Decimal digits as a number; 0 for anything else. */
uint64_t number(const char *text);

#endif
