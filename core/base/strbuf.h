/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable text, and the formats of time that are printed in more than one place. It must not know
 * files.
 */
#ifndef CHRONOS_BASE_STRBUF_H
#define CHRONOS_BASE_STRBUF_H

#include <stddef.h>
#include <stdint.h>

/* Room for "2026-11-21T14:32:10.123456+00:00". */
#define STRBUF_TIME_MAX 40

/* Grows as needed. When an allocation fails, `failed` is set and further additions are ignored, so
 * it is enough to check at the end. All zero is an empty text. */
struct strbuf {
    char *data; /* NUL-terminated once something was added */
    size_t length, capacity;
    int failed;
};

void strbuf_add(struct strbuf *text, const char *data, size_t length);
void strbuf_print(struct strbuf *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Empty the text but keep its memory. */
void strbuf_clear(struct strbuf *text);
/* Free its memory. */
void strbuf_free(struct strbuf *text);

/* "2026-11-21T14:32:10+00:00" in the daemon's time zone. */
void strbuf_time(int64_t wall_ns, char out[STRBUF_TIME_MAX]);
/* The same with microseconds. */
void strbuf_time_us(int64_t wall_ns, char out[STRBUF_TIME_MAX]);
/* "14:32:10", with the date in front if it is not the day of now_wall_ns. */
void strbuf_time_short(int64_t wall_ns, int64_t now_wall_ns, char *out, size_t size);

#endif
