/* SPDX-License-Identifier: Apache-2.0 */
/* The log of lines; see event_log.h. */
#include "event_log.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdbool.h>
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

/* Drop half of the lines; when out of memory, the older half. */
static void drop_half(struct event_log *log)
{
    size_t count = 0;
    bool *keep = calloc(log->count, sizeof(*keep));
    struct share *shares = keep ? count_shares(log, &count) : NULL;
    size_t limit = shares ? fair_limit(shares, count, log->count / 2) : 0;
    if (!keep)
        return; /* grow, and try again with the next line */
    strbuf_clear(&log->before);
    strbuf_add(&log->before, log->text.data, log->text.length);
    if (log->before.failed)
        strbuf_free(&log->before);
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

int event_log_append(struct event_log *log, uint64_t seq, uint64_t previous, uint32_t account,
                     const char *line)
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
    log->lines[log->count++] = (struct event_log_line){seq, previous, offset, account};
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
    if (!log->count)
        return 0;
    uint64_t first = log->lines[0].seq, last = log->lines[log->count - 1].seq;
    return last - first > EVENT_LOG_SPAN ? last - EVENT_LOG_SPAN : first;
}

const struct strbuf *event_log_text(const struct event_log *log, uint32_t age, uint64_t offset)
{
    return age + 1 == log->age && offset < log->before.length ? &log->before : &log->text;
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
    strbuf_free(&log->before);
    free(log->lines);
    memset(log, 0, sizeof(*log));
}
