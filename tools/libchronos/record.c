/* SPDX-License-Identifier: Apache-2.0 */
/* Read a directory by a table of its files. It must not know what they mean. */
#include "chronos.h"

#include <stdio.h>
#include <string.h>

/* Find the n-th word of `text`, from 1. */
static void take_word(const char *text, int n, char *word, size_t size)
{
    while (n-- > 1) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    snprintf(word, size, "%.*s", (int)strcspn(text, " "), text);
}

int chronos_record_load(int directory, const struct chronos_field *fields, uint32_t mask,
                        struct chronos_record *record)
{
    char text[CHRONOS_VALUE_MAX];
    const char *loaded = ""; /* rows that share a file are adjacent */
    for (size_t i = 0; fields[i].file; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        if (strcmp(loaded, fields[i].file) != 0) {
            int r = chronos_read(directory, fields[i].file, text, sizeof(text));
            if (r < 0)
                return r;
            loaded = fields[i].file;
        }
        if (fields[i].word > 0)
            take_word(text, fields[i].word, record->value[i], CHRONOS_VALUE_MAX);
        else
            memcpy(record->value[i], text, sizeof(text));
    }
    return 0;
}
