/* SPDX-License-Identifier: Apache-2.0 */
/* Growable text and formatting of times; see strbuf.h. */
#include "strbuf.h"

#include "array.h"
#include "ns.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int reserve(struct strbuf *text, size_t more)
{
    if (!text->failed && array_reserve(text->data, text->capacity, text->length + more + 1))
        text->failed = 1;
    return text->failed;
}

void strbuf_add(struct strbuf *text, const char *data, size_t length)
{
    if (reserve(text, length))
        return;
    if (length)
        memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void strbuf_print(struct strbuf *text, const char *format, ...)
{
    /* Output is short: one pass usually suffices. */
    if (reserve(text, 128))
        return;
    for (int pass = 0; pass < 2; pass++) {
        size_t room = text->capacity - text->length;
        va_list arguments;
        va_start(arguments, format);
        int n = vsnprintf(text->data + text->length, room, format, arguments);
        va_end(arguments);
        if (n < 0) {
            text->failed = 1;
            return;
        }
        if ((size_t)n < room) {
            text->length += (size_t)n;
            return;
        }
        if (reserve(text, (size_t)n))
            return;
    }
}

void strbuf_clear(struct strbuf *text)
{
    text->length = 0;
    text->failed = 0;
}

void strbuf_free(struct strbuf *text)
{
    free(text->data);
    memset(text, 0, sizeof(*text));
}

/* Split into local time and nanoseconds. Rounds seconds down. */
static long split(int64_t wall_ns, struct tm *ret_tm)
{
    time_t seconds = (time_t)(wall_ns / NS_PER_SECOND);
    long ns = (long)(wall_ns % NS_PER_SECOND);
    if (ns < 0) {
        ns += (long)NS_PER_SECOND;
        seconds--;
    }
    if (!localtime_r(&seconds, ret_tm))
        memset(ret_tm, 0, sizeof(*ret_tm));
    return ns;
}

static void print_time(int64_t wall_ns, const char *fraction, char out[STRBUF_TIME_MAX])
{
    struct tm tm;
    split(wall_ns, &tm);
    char head[24];
    strftime(head, sizeof(head), "%Y-%m-%dT%H:%M:%S", &tm);
    long minutes = tm.tm_gmtoff / 60;
    long size = minutes < 0 ? -minutes : minutes;
    snprintf(out, STRBUF_TIME_MAX, "%.19s%.8s%c%02ld:%02ld", head, fraction,
             minutes < 0 ? '-' : '+', size / 60 % 100, size % 60);
}

void strbuf_time(int64_t wall_ns, char out[STRBUF_TIME_MAX])
{
    print_time(wall_ns, "", out);
}

void strbuf_time_us(int64_t wall_ns, char out[STRBUF_TIME_MAX])
{
    struct tm tm;
    char fraction[24];
    snprintf(fraction, sizeof(fraction), ".%06ld", split(wall_ns, &tm) / 1000);
    print_time(wall_ns, fraction, out);
}

void strbuf_time_short(int64_t wall_ns, int64_t now_wall_ns, char *out, size_t size)
{
    struct tm then, now;
    split(wall_ns, &then);
    split(now_wall_ns, &now);
    bool today = then.tm_year == now.tm_year && then.tm_yday == now.tm_yday;
    if (!strftime(out, size, today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then) && size)
        out[0] = '\0';
}
