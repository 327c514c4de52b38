/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to users: refusals and errors. One maximum length everywhere. Pure. */
#ifndef CHRONOS_BASE_MESSAGE_H
#define CHRONOS_BASE_MESSAGE_H

#include <stddef.h>

#define MESSAGE_MAX        512 /* including NUL; longer ones are truncated */
#define MESSAGE_QUOTED_MAX 48

struct message {
    char text[MESSAGE_MAX];
};

/* Format a message (NULL: discard it) and return `code`, so that refusing takes one statement. */
int message_set(int code, struct message *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, into a buffer of any size. */
int message_refuse(int code, char *message, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Quote user input for display: shortened, and printable ASCII only. */
void message_quote(const char *text, size_t length, char quoted[static MESSAGE_QUOTED_MAX]);

#endif
