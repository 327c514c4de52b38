/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows, and the few values the tree prints in more than one place:
 * times, times in sentences. Knows nothing of files.
 */
#ifndef CHRONOS_BASE_STRBUF_H
#define CHRONOS_BASE_STRBUF_H

#include <stddef.h>
#include <stdint.h>

/* Room for "2026-11-21T14:32:10.123456+00:00". */
#define STRBUF_TIME_MAX 40

/* Grows as needed; after a failed allocation `failed` is set and nothing more is
 * added, so that only the end must be checked. All zero is an empty text. */
struct strbuf {
    char *data; /* always ends with a NUL once something was added */
    size_t length, capacity;
    int failed;
};

void strbuf_add(struct strbuf *text, const char *data, size_t length);
void strbuf_print(struct strbuf *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Empties it and keeps its memory. */
void strbuf_clear(struct strbuf *text);
/* Gives its memory back. */
void strbuf_free(struct strbuf *text);

/* "2026-11-21T14:32:10+00:00" in the daemon's time zone. */
void strbuf_time(int64_t wall_ns, char out[STRBUF_TIME_MAX]);
/* The same with microseconds. */
void strbuf_time_us(int64_t wall_ns, char out[STRBUF_TIME_MAX]);
/* "14:32:10", with the date in front when it is not the day of now_wall_ns. */
void strbuf_time_short(int64_t wall_ns, int64_t now_wall_ns, char *out, size_t size);

#endif
