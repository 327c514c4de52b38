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

#include <stddef.h>
#include <stdint.h>

#define EVENT_LOG_LINES_MAX 8192
/* Lines older than this many events need not be kept in the state. */
#define EVENT_LOG_SPAN 65536
/* The most lines of one partition that are followed back. */
#define EVENT_LOG_CHAIN_MAX 64

struct event_log_line {
    uint64_t seq;      /* the event's number, ascending */
    uint64_t previous; /* number of the previous event of its chain; 0: none */
    size_t offset;     /* of its text in `text` */
    uint32_t account;  /* the person that it counts for */
};

struct event_log {
    struct strbuf text;   /* all lines, with their newlines */
    struct strbuf before; /* the text before lines were last dropped, for those reading it */
    uint32_t age;         /* how often lines were dropped */
    struct event_log_line *lines;
    size_t count, capacity;
};

/* Append a line (given without its newline) that counts for `account`. 0 or -ENOMEM. */
int event_log_append(struct event_log *log, uint64_t seq, uint64_t previous, uint32_t account,
                     const char *line);
/* Remove all lines with numbers >= seq. */
void event_log_truncate(struct event_log *log, uint64_t seq);
/* Return the number of the oldest line that must be stored; 0 if the log is empty. */
uint64_t event_log_first(const struct event_log *log);
/* Return the text for a reader at `offset` who began when the log was of this age: the same that
 * they began, unless it is gone or read to its end. */
const struct strbuf *event_log_text(const struct event_log *log, uint32_t age, uint64_t offset);
/* Append to `out` the lines of the chain that ends with number `last`, oldest first. */
void event_log_chain(const struct event_log *log, uint64_t last, struct strbuf *out);
/* Drop all lines and their memory. */
void event_log_free(struct event_log *log);

#endif
