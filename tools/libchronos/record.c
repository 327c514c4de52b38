/* SPDX-License-Identifier: Apache-2.0 */
/* Read a directory by a table of its files. It must not know what they mean. */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void chronos_take_word(const char *text, int n, char *ret_word, size_t size)
{
    if (!n) {
        snprintf(ret_word, size, "%s", text);
        return;
    }
    while (n-- > 1) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    snprintf(ret_word, size, "%.*s", (int)strcspn(text, " "), text);
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
        chronos_take_word(text, fields[i].word, record->value[i], CHRONOS_VALUE_MAX);
    }
    /* If the directory ended on the way, all of its files are gone. */
    bool ended = missing && (!there || chronos_read(directory, there, text, sizeof(text)) < 0);
    return ended ? -ENOENT : 0;
}
