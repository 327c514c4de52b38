/* SPDX-License-Identifier: Apache-2.0 */
/* The log of lines; see event_log.h. */
#include "event_log.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Drop the older half. */
static void drop_half(struct event_log *log)
{
    size_t drop = log->count / 2;
    size_t bytes = log->lines[drop].offset;
    memmove(log->text.data, log->text.data + bytes, log->text.length - bytes + 1);
    log->text.length -= bytes;
    log->count -= drop;
    memmove(log->lines, log->lines + drop, log->count * sizeof(*log->lines));
    for (size_t i = 0; i < log->count; i++)
        log->lines[i].offset -= bytes;
}

int event_log_append(struct event_log *log, uint64_t seq, uint64_t previous, const char *line)
{
    if (array_reserve(log->lines, log->capacity, log->count + 1))
        return -ENOMEM;
    size_t offset = log->text.length;
    strbuf_add(&log->text, line, strlen(line));
    strbuf_add(&log->text, "\n", 1);
    if (log->text.failed) {
        log->text.failed = 0;
        log->text.length = offset;
        return -ENOMEM;
    }
    log->lines[log->count++] = (struct event_log_line){seq, previous, offset};
    if (log->count > EVENT_LOG_LINES_MAX)
        drop_half(log);
    return 0;
}

void event_log_truncate(struct event_log *log, uint64_t seq)
{
    while (log->count && log->lines[log->count - 1].seq >= seq)
        log->text.length = log->lines[--log->count].offset;
    if (log->text.data)
        log->text.data[log->text.length] = '\0';
}

uint64_t event_log_first(const struct event_log *log)
{
    return log->count ? log->lines[0].seq : 0;
}

/* Return the index of the line with number `seq`, or count. */
static size_t find_line(const struct event_log *log, uint64_t seq)
{
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->lines[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < log->count && log->lines[low].seq == seq ? low : log->count;
}

void event_log_chain(const struct event_log *log, uint64_t last, struct strbuf *out)
{
    size_t found[EVENT_LOG_CHAIN_MAX];
    size_t n = 0;
    for (uint64_t seq = last; seq && n < EVENT_LOG_CHAIN_MAX;) {
        size_t i = find_line(log, seq);
        if (i == log->count)
            break;
        found[n++] = i;
        seq = log->lines[i].previous < seq ? log->lines[i].previous : 0;
    }
    while (n-- > 0) {
        size_t start = log->lines[found[n]].offset;
        size_t end = found[n] + 1 < log->count ? log->lines[found[n] + 1].offset : log->text.length;
        strbuf_add(out, log->text.data + start, end - start);
    }
}

void event_log_free(struct event_log *log)
{
    strbuf_free(&log->text);
    free(log->lines);
    memset(log, 0, sizeof(*log));
}
