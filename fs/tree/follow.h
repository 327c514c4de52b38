/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of logs. Offsets in a file count what the reader has got, but the log changes: lines are
 * dropped, those that were not durable are taken back, and the next worker's log has other lines.
 * So each open file has a mark in the supervisor's memory: the line that was read last, by its
 * number, and the offset at which it began. The reader goes on behind it. One who reads on gets
 * each line once and whole, and a line that says how many were lost.
 *
 * The rest of a line that was read in part is kept for the reader, a few of each account.
 */
#ifndef CHRONOS_TREE_FOLLOW_H
#define CHRONOS_TREE_FOLLOW_H

#include "core/base/strbuf.h"
#include "event_log.h"
#include "handles.h"

/* A reader of a log. */
struct follow {
    struct shared *shared;
    struct shared_handle *handle;
    uint64_t fh;
    uint32_t account;    /* the opener's */
    int64_t wall_ns;     /* now */
    struct strbuf *room; /* for text that is in no log */
};

/* Return what the reader gets at `offset`, at most `size` bytes, and note where that ends. Valid
 * until the log or the room changes. A read that is repeated, because a worker died before it
 * answered, gets no other lines than those. NULL: out of memory. */
const char *follow_read(const struct follow *follow, const struct event_log *log, uint64_t offset,
                        size_t size, size_t *ret_length);
/* All events from number `seq` on were taken back: readers have not seen those that get these
 * numbers. */
void follow_take_back(struct handles *handles, uint64_t seq);

#endif
