/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas as text: the lines of the files `quota`, such as "hours_week 20" or "fraction max". It
 * must not know whose they are.
 */
#ifndef CHRONOS_ENGINE_QUOTA_TEXT_H
#define CHRONOS_ENGINE_QUOTA_TEXT_H

#include "quota.h"

#define QUOTA_TEXT_MAX 32 /* room for a limit */

/* A change of one limit; `set` is false for the word default, which removes it. */
struct quota_change {
    enum quota_key key;
    bool set;
    uint64_t limit;
};

/* Parse a line without its newline: a key, a blank, and a value, `max` for no limit or `default`.
 * 0, or REFUSED_INVALID and a message. */
int quota_text_parse(const char *text, size_t length, struct quota_change *ret_change,
                     char *message, size_t size);
/* Apply a change to the limits of a holder. */
void quota_text_apply(const struct quota_change *change, struct quota_limits *limits);
/* The key of a line, and the value that stands for a limit. Parsing them gives the same limit. */
const char *quota_text_key(enum quota_key key);
const char *quota_text_doc(enum quota_key key);
void quota_text_limit(enum quota_key key, uint64_t limit, char text[static QUOTA_TEXT_MAX]);

#endif
