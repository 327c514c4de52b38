/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only log of lines, as a file shows it: `events` and `history`. Lines
 * carry the number of the event they tell of, so that what could not be made
 * durable can be taken off again, and the number of the previous event about the
 * same partition, so that a partition's own lines are found without a search.
 * When it is full the older half goes.
 */
#ifndef CHRONOS_FS_TEXTLOG_H
#define CHRONOS_FS_TEXTLOG_H

#include "text.h"

#include <stddef.h>
#include <stdint.h>

#define TEXTLOG_LINES_MAX 8192
/* No more of one partition's lines are followed back than this. */
#define TEXTLOG_CHAIN_MAX 64

struct textlog_line {
    uint64_t seq;      /* the event's number, rising */
    uint64_t previous; /* the number of the event before it in its chain; 0 none */
    size_t offset;     /* of its text in `text` */
};

struct textlog {
    struct text text; /* all lines, each with its newline */
    struct textlog_line *lines;
    size_t count, capacity;
};

/* Adds a line (without its newline). 0 or -ENOMEM. */
int textlog_append(struct textlog *log, uint64_t seq, uint64_t previous, const char *line);
/* Takes off every line with a number >= seq. */
void textlog_truncate(struct textlog *log, uint64_t seq);
/* The number of the oldest line kept; 0 when empty. */
uint64_t textlog_first(const struct textlog *log);
/* Adds to `out` the lines of the chain that ends with number `last`, oldest first. */
void textlog_chain(const struct textlog *log, uint64_t last, struct text *out);
void textlog_free(struct textlog *log);

#endif
