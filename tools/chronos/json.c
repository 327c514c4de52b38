/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write JSON (RFC 8259) to stdout. Text from the tree is UTF-8; replace bytes outside well-formed
 * sequences by U+FFFD, so that strict parsers can always read the output.
 */
#include "output.h"

#include "core/base/array.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <string.h>

static void put_string(const char *string)
{
    const unsigned char *text = (const unsigned char *)string;
    putchar('"');
    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length == 0) {
            fputs("\\ufffd", stdout);
            length = 1;
        } else if (*text == '"' || *text == '\\') {
            printf("\\%c", *text);
        } else if (*text < 0x20 || *text == 0x7f) {
            printf("\\u%04x", *text);
        } else {
            fwrite(text, 1, length, stdout);
        }
        text += length;
    }
    putchar('"');
}

static void before_value(struct json *json, const char *key)
{
    if (json->depth > 0 && json->one_line)
        fputs(json->first ? "" : ", ", stdout);
    else if (json->depth > 0)
        printf("%s\n%*s", json->first ? "" : ",", json->depth * 2, "");
    json->first = false;
    if (key) {
        put_string(key);
        fputs(": ", stdout);
    }
}

void json_open(struct json *json, const char *key, char bracket)
{
    before_value(json, key);
    putchar(bracket);
    json->depth++;
    json->first = true;
}

void json_close(struct json *json, char bracket)
{
    json->depth--;
    if (!json->first && !json->one_line)
        printf("\n%*s", json->depth * 2, "");
    putchar(bracket);
    json->first = false;
    if (json->depth == 0)
        putchar('\n');
}

void json_text(struct json *json, const char *key, const char *text)
{
    before_value(json, key);
    put_string(text);
}

/* Return whether the text is a JSON number without an exponent. */
static bool is_number(const char *text)
{
    if (*text == '-')
        text++;
    size_t whole = strspn(text, "0123456789");
    if (whole == 0 || (text[0] == '0' && whole > 1))
        return false;
    text += whole;
    if (*text == '\0')
        return true;
    size_t digits = *text == '.' ? strspn(text + 1, "0123456789") : 0;
    return digits > 0 && text[1 + digits] == '\0';
}

void json_number(struct json *json, const char *key, const char *text)
{
    before_value(json, key);
    if (is_number(text))
        fputs(text, stdout);
    else if (text[0] == '\0' || strcmp(text, "max") == 0)
        fputs("null", stdout);
    else
        put_string(text);
}

void json_bool(struct json *json, const char *key, bool value)
{
    before_value(json, key);
    fputs(value ? "true" : "false", stdout);
}

void json_record(struct json *json, const struct chronos_field *fields,
                 const struct chronos_record *record)
{
    for (size_t i = 0; fields[i].file; i++) {
        if (fields[i].kind == CHRONOS_NUMBER)
            json_number(json, fields[i].key, record->value[i]);
        else
            json_text(json, fields[i].key, record->value[i]);
    }
}

void json_line(struct json *json, const struct chronos_line *line, size_t first)
{
    /* Print only these as numbers: a label can look like one. */
    static const char *const numbers[][2] = {{"memory", "memory_bytes"},
                                             {"memory_peak", "memory_peak_bytes"},
                                             {"gpu_time", "gpu_time_seconds"}};
    for (size_t i = first; i < line->count; i++) {
        char key[64];
        const char *value = strchr(line->words[i], '=');
        if (!value)
            continue;
        snprintf(key, sizeof(key), "%.*s", (int)(value - line->words[i]), line->words[i]);
        size_t n = 0;
        while (n < ARRAY_COUNT(numbers) && strcmp(key, numbers[n][0]) != 0)
            n++;
        if (n < ARRAY_COUNT(numbers))
            json_number(json, numbers[n][1], value + 1);
        else
            json_text(json, key, value + 1);
    }
}
