/* SPDX-License-Identifier: Apache-2.0 */
/* What everybody who reads /proc/PID/mountinfo needs. */
#ifndef CHRONOS_BASE_MOUNTINFO_H
#define CHRONOS_BASE_MOUNTINFO_H

#include <stdio.h>

/* The kernel writes blanks, newlines and backslashes in paths as \ooo: puts back, in
 * place, what was meant. */
static inline void mountinfo_unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        unsigned code;
        if (*from == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
            *to = (char)code;
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

#endif
