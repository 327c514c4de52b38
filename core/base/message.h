/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: what was refused or went wrong, for people. One limit everywhere. Pure. */
#ifndef CHRONOS_BASE_MESSAGE_H
#define CHRONOS_BASE_MESSAGE_H

#include <stddef.h>

#define MESSAGE_MAX        512 /* NUL included; longer ones are cut */
#define MESSAGE_QUOTED_MAX 48

struct message {
    char text[MESSAGE_MAX];
};

/* Formats the message (NULL: not wanted) and returns `code`, so that a refusal is one
 * statement. */
int message_set(int code, struct message *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same into a buffer of another size. */
int message_refuse(int code, char *message, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What a user wrote, fit to be shown: short, and printable ASCII only. */
void message_quote(const char *text, size_t length, char quoted[static MESSAGE_QUOTED_MAX]);

#endif
