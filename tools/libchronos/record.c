/* SPDX-License-Identifier: Apache-2.0 */
/* Read a directory by a table of its files. It must not know what they mean. */
#include "client.h"

#include <errno.h>
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
    char text[CHRONOS_VALUE_MAX] = "";
    const char *loaded = "";  /* rows that share a file are adjacent */
    const char *there = NULL; /* a file that was there */
    bool missing = false;
    for (size_t i = 0; fields[i].file; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        if (strcmp(loaded, fields[i].file) != 0) {
            int r = chronos_read(directory, fields[i].file, text, sizeof(text));
            if (r < 0 && r != -ENOENT)
                return r;
            loaded = fields[i].file;
            missing |= r < 0;
            if (r < 0)
                text[0] = '\0';
            else
                there = loaded;
        }
        if (fields[i].word > 0)
            take_word(text, fields[i].word, record->value[i], CHRONOS_VALUE_MAX);
        else
            memcpy(record->value[i], text, sizeof(text));
    }
    /* If the directory ended on the way, all of its files are gone. */
    bool ended = missing && (!there || chronos_read(directory, there, text, sizeof(text)) < 0);
    return ended ? -ENOENT : 0;
}
