/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts, sizes and durations: parsing and formatting. Integers only: a fraction is kept as
 * decimal digits over a power of ten, so ten times 0.1 is exactly the whole.
 */
#ifndef CHRONOS_ENGINE_UNITS_H
#define CHRONOS_ENGINE_UNITS_H

#include "core/base/ns.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 100 years, the longest a partition can last */
#define DURATION_MAX_NS (INT64_C(36500) * 24 * 3600 * NS_PER_SECOND)

/* Part of a device: a share (digits / scale, 0 < share <= 1) or bytes. */
struct amount {
    bool is_share;
    uint64_t digits, scale; /* scale is a power of ten, at most 10^18 */
    uint64_t bytes;
};

/* Parse "0.5", "50%", "20G", "1.5GiB". 0, or REFUSED_INVALID and a message. */
int units_parse_amount(const char *text, size_t length, struct amount *ret_amount, char *message,
                       size_t size);
/* The whole bytes of `total` that the amount stands for, rounded down. */
uint64_t units_amount_bytes(const struct amount *amount, uint64_t total);

/* Parse "3600", "90m", "1h30m", "2d": whole seconds, 1 second to 100 years. */
int units_parse_duration(const char *text, size_t length, int64_t *ret_ns, char *message,
                         size_t size);

/* Like units_parse_duration, but 0 is allowed. */
int units_parse_grace(const char *text, size_t length, int64_t *ret_ns, char *message, size_t size);

/* "0.5": bytes / total with at most six decimals, rounded to nearest, without trailing zeros; never
 * 0 for a non-zero amount. */
void units_fraction_text(uint64_t bytes, uint64_t total, char *text, size_t size);
/* bytes / total in units of 1 / scale (a power of ten, at most 10^18), rounded up. */
uint64_t units_fraction_digits(uint64_t bytes, uint64_t total, uint64_t scale);
/* "50.00": per cent with two decimals, rounded down. */
void units_percent_text(uint64_t bytes, uint64_t total, char *text, size_t size);
/* "5 GiB", "1.5 GiB", "123 B": for messages. */
void units_size_text(uint64_t bytes, char *text, size_t size);
/* "1h30m", "45s": for messages. */
void units_duration_text(int64_t ns, char *text, size_t size);
/* Whole seconds, rounded up; 0 if negative. */
int64_t units_seconds_up(int64_t ns);

#endif
