/* SPDX-License-Identifier: Apache-2.0 */
/* The log of lines; see event_log.h. */
#include "event_log.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many lines an account has. */
struct share {
    uint32_t account;
    size_t lines;
};

static int compare_accounts(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    return (x->account > y->account) - (x->account < y->account);
}

static int compare_lines(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    return (x->lines > y->lines) - (x->lines < y->lines);
}

/* Return one share for each account, by account. NULL: out of memory. */
static struct share *count_shares(const struct event_log *log, size_t *ret_count)
{
    struct share *shares = calloc(log->count, sizeof(*shares));
    size_t kept = 0;
    if (!shares)
        return NULL;
    for (size_t i = 0; i < log->count; i++)
        shares[i] = (struct share){log->lines[i].account, 1};
    qsort(shares, log->count, sizeof(*shares), compare_accounts);
    for (size_t i = 0; i < log->count; i++)
        if (kept && shares[kept - 1].account == shares[i].account)
            shares[kept - 1].lines++;
        else
            shares[kept++] = shares[i];
    *ret_count = kept;
    return shares;
}

/* Return the most lines that each account can have if all together have at most `room`. Sorts
 * `shares` by lines. */
static size_t fair_limit(struct share *shares, size_t count, size_t room)
{
    qsort(shares, count, sizeof(*shares), compare_lines);
    for (size_t i = 0; i < count; i++) {
        size_t each = room / (count - i);
        if (shares[i].lines > each)
            return each;
        room -= shares[i].lines;
    }
    return SIZE_MAX;
}

/* Keep the lines for which `keep` says so. */
static void keep_lines(struct event_log *log, const bool *keep)
{
    size_t kept = 0, length = 0;
    for (size_t i = 0; i < log->count; i++) {
        struct event_log_line line = log->lines[i];
        size_t end = i + 1 < log->count ? log->lines[i + 1].offset : log->text.length;
        size_t bytes = end - line.offset;
        if (!keep[i])
            continue;
        memmove(log->text.data + length, log->text.data + line.offset, bytes);
        line.offset = length;
        log->lines[kept++] = line;
        length += bytes;
    }
    log->count = kept;
    log->text.length = length;
    log->text.data[length] = '\0';
}

static void forget_before(struct event_log *log)
{
    strbuf_free(&log->text_before);
    free(log->lines_before);
    log->lines_before = NULL;
    log->count_before = 0;
}

/* Out of memory: those who read learn how many lines they have lost. */
static void keep_before(struct event_log *log)
{
    forget_before(log);
    strbuf_add(&log->text_before, log->text.data, log->text.length);
    log->lines_before = calloc(log->count, sizeof(*log->lines_before));
    if (log->text_before.failed || !log->lines_before) {
        forget_before(log);
        return;
    }
    memcpy(log->lines_before, log->lines, log->count * sizeof(*log->lines));
    log->count_before = log->count;
}

/* Drop half of the lines; when out of memory, the older half. */
static void drop_half(struct event_log *log)
{
    size_t count = 0;
    bool *keep = calloc(log->count, sizeof(*keep));
    struct share *shares = keep ? count_shares(log, &count) : NULL;
    size_t limit = shares ? fair_limit(shares, count, log->count / 2) : 0;
    if (!keep)
        return; /* grow, and try again with the next line */
    keep_before(log);
    log->age++;
    if (shares) {
        qsort(shares, count, sizeof(*shares), compare_accounts);
        for (size_t i = 0; i < count; i++)
            shares[i].lines = 0;
    }
    for (size_t i = log->count; i-- > 0;) {
        struct share key = {.account = log->lines[i].account};
        struct share *share =
            shares ? bsearch(&key, shares, count, sizeof(key), compare_accounts) : NULL;
        keep[i] = share ? share->lines++ < limit : i >= log->count / 2;
    }
    keep_lines(log, keep);
    free(shares);
    free(keep);
}

/* Add a line whose offset is not set yet; a newline ends it. 0 or -ENOMEM. */
static int add_line(struct event_log *log, const struct event_log_line *line, const char *text,
                    size_t length)
{
    if (array_reserve(log->lines, log->capacity, log->count + 1))
        return -ENOMEM;
    size_t offset = log->text.length;
    strbuf_add(&log->text, text, length);
    if (log->text.failed) {
        log->text.failed = 0;
        log->text.length = offset;
        return -ENOMEM;
    }
    log->lines[log->count] = *line;
    log->lines[log->count++].offset = offset;
    return 0;
}

int event_log_append(struct event_log *log, uint64_t seq, uint64_t previous, uint32_t account,
                     const char *line)
{
    const struct event_log_line *last = log->count ? &log->lines[log->count - 1] : NULL;
    struct event_log_line new = {.seq = seq,
                                 .previous = previous,
                                 .account = account,
                                 .silent = (last ? last->silent : 0) + log->skipped};
    char text[EVENT_LOG_LINE_MAX + 1];
    int length = snprintf(text, EVENT_LOG_LINE_MAX, "%s", line);
    if (length >= EVENT_LOG_LINE_MAX)
        length = EVENT_LOG_LINE_MAX - 1;
    text[length++] = '\n';
    log->skipped = 0;
    int r = add_line(log, &new, text, (size_t)length);
    if (!r && log->count > EVENT_LOG_LINES_MAX)
        drop_half(log);
    return r;
}

void event_log_skip(struct event_log *log, uint64_t numbers)
{
    log->skipped += numbers;
}

void event_log_truncate(struct event_log *log, uint64_t seq)
{
    while (log->count && log->lines[log->count - 1].seq >= seq)
        log->text.length = log->lines[--log->count].offset;
    if (log->text.data)
        log->text.data[log->text.length] = '\0';
    if (log->count_before && log->lines_before[log->count_before - 1].seq >= seq)
        forget_before(log);
}

uint64_t event_log_first(const struct event_log *log)
{
    if (!log->count)
        return 0;
    uint64_t first = log->lines[0].seq, last = log->lines[log->count - 1].seq;
    return last - first > EVENT_LOG_SPAN ? last - EVENT_LOG_SPAN : first;
}

struct event_log_view event_log_view(const struct event_log *log, uint32_t age, uint64_t seq)
{
    size_t before = age + 1 == log->age ? log->count_before : 0;
    if (before && log->lines_before[before - 1].seq > seq)
        return (struct event_log_view){log->text_before.data, log->text_before.length,
                                       log->lines_before, before};
    return (struct event_log_view){log->text.data, log->text.length, log->lines, log->count};
}

size_t event_log_after(const struct event_log_view *view, uint64_t seq)
{
    size_t low = 0, high = view->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view->lines[middle].seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Return the index of the line with number `seq`, or count. */
static size_t find_line(const struct event_log *log, uint64_t seq)
{
    const struct event_log_view view = {.lines = log->lines, .count = log->count};
    size_t after = event_log_after(&view, seq);
    return after && log->lines[after - 1].seq == seq ? after - 1 : log->count;
}

void event_log_chain(const struct event_log *log, uint64_t last, struct event_log *out)
{
    event_log_truncate(out, 0);
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
        add_line(out, &log->lines[found[n]], log->text.data + start, end - start);
    }
}

void event_log_free(struct event_log *log)
{
    strbuf_free(&log->text);
    forget_before(log);
    free(log->lines);
    memset(log, 0, sizeof(*log));
}
