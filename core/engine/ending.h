/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a partition ends: what happens to its processes (on_expiry, grace), the warning before it,
 * and the textual form of both.
 */
#ifndef CHRONOS_ENGINE_ENDING_H
#define CHRONOS_ENGINE_ENDING_H

#include "partition.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Buffer size for ending_warn_text. */
#define WARN_TEXT_MAX 32

/* Whether the on_expiry, grace, warn and state of a record are valid. */
bool ending_is_sound(const struct partition *partition);

/* Requested changes to how a partition ends. All zero: no change. */
struct ending_change {
    bool set_on_expiry, set_grace, set_warn;
    uint32_t on_expiry;  /* enum on_expiry */
    int64_t grace_ns;    /* 0 to DURATION_MAX_NS */
    struct warning warn; /* ns at most DURATION_MAX_NS */
};

/* The word for an enum on_expiry, or "unknown". */
const char *ending_on_expiry_text(uint32_t on_expiry);
int ending_parse_on_expiry(const char *text, size_t length, uint32_t *ret_on_expiry, char *message,
                           size_t size);
/* Parse several of these words, separated by blanks, into a set (bit 1 << enum on_expiry); at least
 * one. Format such a set, in a fixed order. */
int ending_parse_on_expiry_set(const char *text, size_t length, uint32_t *ret_set, char *message,
                               size_t size);
void ending_on_expiry_set_text(uint32_t set, char *text, size_t size);

/* "USR1" for a signal that can be a warning, else NULL. */
const char *ending_signal_text(uint32_t warn_signal);
/* Parse "none", "300", "5m:USR1", "300:SIGUSR1". 0, or REFUSED_INVALID and a message. */
int ending_parse_warn(const char *text, size_t length, struct warning *ret_warning, char *message,
                      size_t size);
/* "none", "300" or "300:USR1", as ending_parse_warn accepts it. */
void ending_warn_text(const struct warning *warning, char text[static WARN_TEXT_MAX]);

#endif
