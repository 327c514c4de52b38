/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting messages; see message.h. */
#include "message.h"

#include "line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a message quotes may come from a file or a driver: keep it one line, without control
 * characters, which a terminal would obey. */
static void set(char *message, size_t size, const char *format, va_list arguments)
{
    vsnprintf(message, size, format, arguments);
    line_clean(message);
}

int message_set(int code, struct message *message, const char *format, ...)
{
    va_list arguments;

    if (!message)
        return code;
    va_start(arguments, format);
    set(message->text, sizeof(message->text), format, arguments);
    va_end(arguments);
    return code;
}

int message_refuse(int code, char *message, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set(message, size, format, arguments);
    va_end(arguments);
    return code;
}

void message_quote(const char *text, size_t length, char quoted[static MESSAGE_QUOTED_MAX])
{
    const size_t room = MESSAGE_QUOTED_MAX - 1;
    size_t shown = length > room ? room - 3 : length;

    for (size_t i = 0; i < shown; i++)
        quoted[i] = (char)(text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?');
    quoted[shown] = 0;
    if (shown < length)
        memcpy(quoted + shown, "...", sizeof("..."));
}
