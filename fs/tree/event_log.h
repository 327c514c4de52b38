/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only log of lines, as a file shows it: `events` and `history`. Lines
 * carry the number of the event they tell of, so that what could not be made
 * durable can be taken off again, and the number of the previous event about the
 * same partition, so that a partition's own lines are found without a search.
 * When it is full the older half goes.
 */
#ifndef CHRONOS_TREE_EVENT_LOG_H
#define CHRONOS_TREE_EVENT_LOG_H

#include "core/base/strbuf.h"

#include <stddef.h>
#include <stdint.h>

#define EVENT_LOG_LINES_MAX 8192
/* No more of one partition's lines are followed back than this. */
#define EVENT_LOG_CHAIN_MAX 64

struct event_log_line {
    uint64_t seq;      /* the event's number, rising */
    uint64_t previous; /* the number of the event before it in its chain; 0 none */
    size_t offset;     /* of its text in `text` */
};

struct event_log {
    struct strbuf text; /* all lines, each with its newline */
    struct event_log_line *lines;
    size_t count, capacity;
};

/* Adds a line (without its newline). 0 or -ENOMEM. */
int event_log_append(struct event_log *log, uint64_t seq, uint64_t previous, const char *line);
/* Takes off every line with a number >= seq. */
void event_log_truncate(struct event_log *log, uint64_t seq);
/* The number of the oldest line kept; 0 when empty. */
uint64_t event_log_first(const struct event_log *log);
/* Adds to `out` the lines of the chain that ends with number `last`, oldest first. */
void event_log_chain(const struct event_log *log, uint64_t last, struct strbuf *out);
void event_log_free(struct event_log *log);

#endif
