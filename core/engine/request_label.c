/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of partitions. */
#include "core/base/message.h"
#include "engine.h"
#include "request.h"

#include <string.h>

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* Return whether people name a partition by this word already: p7, partition_0007 or mine. */
static bool is_handle(const char *text, size_t length)
{
    static const char *const prefixes[] = {"p", "partition_"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t at = strlen(prefixes[i]);
        if (length <= at || memcmp(text, prefixes[i], at) != 0)
            continue;
        while (at < length && text[at] >= '0' && text[at] <= '9')
            at++;
        if (at == length)
            return true;
    }
    return length == 4 && memcmp(text, "mine", 4) == 0;
}

int request_label_check(const char *text, size_t length, char *message, size_t size)
{
    bool good = length >= 1 && length <= PARTITION_NAME_MAX;
    char quoted[MESSAGE_QUOTED_MAX];

    for (size_t i = 0; i < length; i++)
        good = good && is_label_byte(text[i]);
    message_quote(text, length, quoted);
    if (good && is_handle(text, length))
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" cannot be a label, because it already names a partition; "
                              "choose another word.",
                              quoted);
    if (good)
        return 0;
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is not a label; use 1 to %d letters, digits, '.', '_' and '-'.",
                          quoted, PARTITION_NAME_MAX);
}
