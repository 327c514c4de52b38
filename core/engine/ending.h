/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a partition ends: what happens to its processes (on_expiry, grace) and the
 * warning before. The words that people write and read for it; what an owner may
 * choose and when a warning is due is decided by the engine (ladder.c).
 */
#ifndef CHRONOS_ENGINE_ENDING_H
#define CHRONOS_ENGINE_ENDING_H

#include "partition.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the longest text of ending_warn_text. */
#define WARN_TEXT_MAX 32

/* Whether what a record says of its end can be true. */
bool ending_is_sound(const struct partition *partition);

/* What of the end is to be another way. All zero: nothing. */
struct ending_change {
    bool set_on_expiry, set_grace, set_warn;
    uint32_t on_expiry;  /* enum on_expiry */
    int64_t grace_ns;    /* 0 to DURATION_MAX_NS */
    struct warning warn; /* ns at most DURATION_MAX_NS */
};

/* The word for an enum on_expiry, "unknown" for another number; and back. 0, or
 * REFUSED_INVALID and a sentence. */
const char *ending_on_expiry_text(uint32_t on_expiry);
int ending_parse_on_expiry(const char *text, size_t length, uint32_t *ret_on_expiry, char *message,
                           size_t size);
/* Several of them with blanks between, as a set (bit 1 << enum on_expiry); at least
 * one. The same as text in a fixed order. */
int ending_parse_on_expiry_set(const char *text, size_t length, uint32_t *ret_set, char *message,
                               size_t size);
void ending_on_expiry_set_text(uint32_t set, char *text, size_t size);

/* "USR1" for a signal that can warn; NULL for others. */
const char *ending_signal_text(uint32_t warn_signal);
/* "none", "300", "5m:USR1", "300:SIGUSR1". 0, or REFUSED_INVALID and a sentence. */
int ending_parse_warn(const char *text, size_t length, struct warning *ret_warning, char *message,
                      size_t size);
/* "none", "300" or "300:USR1": what ending_parse_warn understands. */
void ending_warn_text(const struct warning *warning, char text[static WARN_TEXT_MAX]);

#endif
