/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a directory by a table of its files. It must not know what they mean.
 */
#include "record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The n-th word of `text`, from 1. */
static void take_word(const char *text, int n, char *word, size_t size)
{
    while (n-- > 1) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    snprintf(word, size, "%.*s", (int)strcspn(text, " "), text);
}

int record_load(int directory, const struct field *fields, uint32_t mask, struct record *ret_record)
{
    char text[RECORD_TEXT];
    const char *loaded = ""; /* rows that share a file stand together */
    for (size_t i = 0; fields[i].file != NULL; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        if (strcmp(loaded, fields[i].file) != 0) {
            int error = tree_read(directory, fields[i].file, text, sizeof text);
            if (error != 0)
                return error;
            loaded = fields[i].file;
        }
        if (fields[i].word > 0)
            take_word(text, fields[i].word, ret_record->value[i], RECORD_TEXT);
        else
            memcpy(ret_record->value[i], text, sizeof text);
    }
    return 0;
}

void record_json(struct json *json, const struct field *fields, const struct record *record)
{
    for (size_t i = 0; fields[i].file != NULL; i++) {
        if (fields[i].kind == FIELD_NUMBER)
            json_number(json, fields[i].key, record->value[i]);
        else
            json_text(json, fields[i].key, record->value[i]);
    }
}

bool is_gone(int error)
{
    return error == -ENOENT || error == -ENODEV || error == -ESTALE;
}
