/* SPDX-License-Identifier: Apache-2.0 */
/* Text that must fit in one line; see line.h. */
#include "line.h"

#include <string.h>

bool line_fits(const char *text, size_t min, size_t size)
{
    size_t length = strnlen(text, size);
    for (size_t i = 0; i < length; i++) {
        if (!line_may_hold(text[i]))
            return false;
    }
    return length >= min && length < size;
}

void line_clean(char *text)
{
    for (; *text; text++) {
        if (!line_may_hold(*text))
            *text = '?';
    }
}
