/* SPDX-License-Identifier: Apache-2.0 */
/* Read a directory by a table of its files. It must not know what they mean. */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void chronos_clean(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
            at[0] = at[1] = '?';
        else if ((*at < 0x20 && *at != '\n') || *at == 0x7f)
            *at = '?';
    }
}

void chronos_take_word(const char *text, int n, char *ret_word, size_t size)
{
    const char *end = n > 0 ? " " : "";
    for (; n > 1; n--) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    snprintf(ret_word, size, "%.*s", (int)strcspn(text, end), text);
    chronos_clean(ret_word);
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
