/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to users: refusals and errors. Pure.
 *
 * A struct message goes to the log or a terminal, and may quote a path. Messages for the file
 * `status` are shorter (ENGINE_MESSAGE_MAX), because the supervisor's memory holds one for each of
 * many users (SHARED_MESSAGE_MAX).
 */
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
