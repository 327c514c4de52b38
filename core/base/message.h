/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's files share for making sentences. Not for users of the engine. */
#ifndef CHRONOS_BASE_MESSAGE_H
#define CHRONOS_BASE_MESSAGE_H

#include <stddef.h>

#define MESSAGE_QUOTED_MAX 48

/* The format's outcome in `message`; returns `code`, so that a refusal is one
 * statement. */
int message_refuse(int code, char *message, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What a user wrote, fit to be shown: short, and printable ASCII only. */
void message_quote(const char *text, size_t length, char quoted[static MESSAGE_QUOTED_MAX]);

#endif
