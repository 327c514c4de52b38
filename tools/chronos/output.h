/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Print results: plain lines for scripts, tables with colour for a terminal, and JSON. Only results
 * go to stdout, through stdio.
 */
#ifndef CHRONOS_TOOLS_OUTPUT_H
#define CHRONOS_TOOLS_OUTPUT_H

#include "tools/libchronos/client.h"

#include <time.h>

/* Print "chronos: ..." and a newline to stderr, in one write. */
__attribute__((format(printf, 1, 2))) void output_message(const char *format, ...);

/* Return whether stdout is a terminal. */
bool output_terminal(void);
/* Return whether stdout is a terminal that understands escape sequences. */
bool output_cursor(void);
/* Return the columns of the terminal, and its rows unless ret_rows is NULL: 80 by 24 if it does not
 * know them. */
size_t output_size(size_t *ret_rows);
enum colour { PLAIN, BOLD, DIM, GREEN, YELLOW, RED };
/* Return the escape sequence that switches to `colour`, or "" if colours are off. */
const char *output_colour(enum colour colour);
/* Flush stdout. 0; or EXIT_REFUSED, after a message unless the reader closed it. */
int output_finish(void);

/* A table of text, printed once it is complete. Out of memory: exits with a message. */
struct table;
struct table *table_new(const char *const *titles); /* ends with NULL */
void table_cell(struct table *table, enum colour colour, const char *text);
void table_print(struct table *table); /* cuts long cells where the terminal is too narrow */
struct table *table_free(struct table *table);

/* JSON on stdout. `key` is NULL inside an array. */
struct json {
    int depth;
    bool first;    /* the next value is the first in its object or array */
    bool one_line; /* no line breaks inside */
};
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket); /* the outermost one ends the line */
void json_text(struct json *json, const char *key, const char *text);
/* Print a number as read from a file; "max" and "" become null, other text a string. */
void json_number(struct json *json, const char *key, const char *text);
void json_bool(struct json *json, const char *key, bool value);
/* Add all fields of a record to an open object. */
void json_record(struct json *json, const struct chronos_field *fields,
                 const struct chronos_record *record);
/* Add the words KEY=VALUE of a line, from word `first` on, to an open object. */
void json_line(struct json *json, const struct chronos_line *line, size_t first);

/* Format numbers for people. */
void output_bytes_text(uint64_t bytes, char *text, size_t size); /* "40.0 GiB" */
/* Round bytes of a file up to MB, so that 0 means none. */
unsigned long long output_mb(uint64_t bytes);
void output_seconds_text(uint64_t seconds, char *text, size_t size); /* "1h 02m" */
/* The same with at most two decimals and a percent sign: "0.41%". */
void output_share_text(const char *fraction, char *text, size_t size);
/* Parse a time of the filesystem. False for other text. */
bool output_time_read(const char *iso, time_t *ret_time);
/* Show a time of the filesystem, like 2026-11-21T15:32:10+00:00, in the zone of this process: the
 * time alone if it is today's, with the day if it is near, else the date. Other text is copied. */
void output_time_text(const char *iso, char *text, size_t size);
/* The same, and a number of seconds as "1h 02m", for people: if stdout is no terminal, as the files
 * have them, "2026-11-21T15:32:10+00:00" and "3720 seconds". */
void output_time(const char *iso, char *text, size_t size);
void output_seconds(const char *seconds, char *text, size_t size);
/* Multiply a decimal number by a hundred: "0.5" -> "50". */
void output_percent_text(const char *fraction, char *text, size_t size);

#endif
