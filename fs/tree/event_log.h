/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only log of lines, as shown by `events` and `history`. Each line has the number of its
 * event, so that events that could not be made durable can be removed, and the number of the
 * previous event of the same partition, so that the lines of a partition are found without a
 * search. A full log drops half of its lines: the oldest ones of the accounts that have most, so
 * that one user's many lines push out only each other.
 */
#ifndef CHRONOS_TREE_EVENT_LOG_H
#define CHRONOS_TREE_EVENT_LOG_H

#include "core/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_LOG_LINES_MAX 8192
/* Bytes of a line, with its newline. */
#define EVENT_LOG_LINE_MAX 512
/* Lines older than this many events need not be kept in the state. */
#define EVENT_LOG_SPAN 65536
/* The most lines of one partition that are followed back. */
#define EVENT_LOG_CHAIN_MAX 64

struct event_log_line {
    uint64_t seq;      /* the event's number, ascending */
    uint64_t previous; /* number of the previous event of its chain; 0: none */
    size_t offset;     /* of its text in `text` */
    uint32_t account;  /* the person that it counts for */
    uint64_t silent;   /* numbers without a line that lines up to this one stand for */
};

struct event_log {
    struct strbuf text; /* all lines, with their newlines */
    struct event_log_line *lines;
    size_t count, capacity;
    uint64_t skipped;  /* numbers that the next line stands for */
    uint32_t age;      /* how often lines were dropped */
    bool every_number; /* each number has a line or is silent: a gap tells how many are missing */
    /* before lines were last dropped, for those who read them */
    struct strbuf text_before;
    struct event_log_line *lines_before;
    size_t count_before;
};

/* The lines that a reader sees. */
struct event_log_view {
    const char *text;
    size_t length;
    const struct event_log_line *lines;
    size_t count;
};

/* Append a line (given without its newline) that counts for `account`. 0 or -ENOMEM. */
int event_log_append(struct event_log *log, uint64_t seq, uint64_t previous, uint32_t account,
                     const char *line);
/* Let the next line stand for this many numbers that have no line of their own. */
void event_log_skip(struct event_log *log, uint64_t numbers);
/* Remove all lines with numbers >= seq. */
void event_log_truncate(struct event_log *log, uint64_t seq);
/* Return the number of the oldest line that must be stored; 0 if the log is empty. */
uint64_t event_log_first(const struct event_log *log);
/* Return the lines for a reader who last read when the log was of this age, and has read to the end
 * of line `seq`: the same ones, unless they are gone or were read to their end. Valid until the
 * next change. */
struct event_log_view event_log_view(const struct event_log *log, uint32_t age, uint64_t seq);
/* Return the index of the first line with a number above `seq`, or the view's count. */
size_t event_log_after(const struct event_log_view *view, uint64_t seq);
/* Make `out` the lines of the chain that ends with number `last`. Out of memory: some of them. */
void event_log_chain(const struct event_log *log, uint64_t last, struct event_log *out);
/* Drop all lines and their memory. */
void event_log_free(struct event_log *log);

#endif
