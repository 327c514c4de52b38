/* SPDX-License-Identifier: Apache-2.0 */
/* Convert help texts and the tables of docs/filesystem.md to mdoc(7). */
#include "roff.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MARK "<!-- printed by filesystem-docs from here on -->\n"

/* Print text without markup, except that `code` becomes bold. */
static void print_inline(const char *text, size_t length)
{
    bool bold = false;
    for (size_t i = 0; i < length; i++) {
        if (i == 0 && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", stdout);
        if (text[i] == '\\') {
            fputs("\\e", stdout);
        } else if (text[i] == '-') {
            fputs("\\-", stdout);
        } else if (text[i] == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", stdout);
        } else if (i > 0 && text[i] == ' ' && text[i - 1] == '.' && i + 1 < length) {
            putchar('\n'); /* start sentences on new lines: roff sets the space */
        } else {
            putchar(text[i]);
        }
    }
    putchar('\n');
}

void roff_text(const char *text)
{
    bool literal = false;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        bool indented = strncmp(text, "    ", 4) == 0;
        if (length == 0 && !literal && strncmp(text, "\n    ", 5) != 0)
            puts(".Pp");
        if (indented && !literal)
            puts(".Bd -literal -offset indent");
        if (!indented && literal)
            puts(".Ed");
        literal = indented;
        if (indented)
            print_inline(text + 4, length - 4);
        else if (length > 0)
            print_inline(text, length);
        text += length + (text[length] == '\n');
    }
    if (literal)
        puts(".Ed");
}

/* Return the next cell of a row, without surrounding blanks. */
static size_t next_cell(const char **row, const char **ret_cell)
{
    const char *cell = *row + 1 + strspn(*row + 1, " ");
    size_t length = strcspn(cell, "|\n");
    *row = cell + length;
    while (length > 0 && cell[length - 1] == ' ')
        length--;
    *ret_cell = cell;
    return length;
}

/* Print a row: the first cell is the tag, the last one its text; cells between them follow the tag
 * in brackets. */
static void table_row(const char *row)
{
    const char *cells[3] = {NULL};
    size_t lengths[3] = {0}, count = 0;
    while (count < 3 && row[0] == '|' && row[1] != '\n' && row[1] != '\0') {
        lengths[count] = next_cell(&row, &cells[count]);
        count++;
    }
    if (count < 2)
        return;
    char tag[256];
    bool between = count == 3 && lengths[1] > 0;
    snprintf(tag, sizeof(tag), "%.*s%s%.*s%s", (int)lengths[0], cells[0], between ? " (" : "",
             between ? (int)lengths[1] : 0, cells[1], between ? ")" : "");
    fputs(".It ", stdout);
    print_inline(tag, strlen(tag));
    print_inline(cells[count - 1], lengths[count - 1]);
}

/* Print a markdown table that starts at its head. Return what follows it. */
static const char *table(const char *text)
{
    puts(".Bl -tag -width Ds -compact");
    for (int line = 0; text[0] == '|'; line++) {
        if (line >= 2) /* skip the head and the rule below it */
            table_row(text);
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    puts(".El");
    return text;
}

void roff_tables(const char *markdown)
{
    const char *text = strstr(markdown, MARK);
    text = text ? text + strlen(MARK) : "";
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (text[0] == '|') {
            text = table(text);
            continue;
        }
        if (strncmp(text, "### ", 4) == 0) {
            fputs(".Ss ", stdout);
            print_inline(text + 4, length - 4);
        } else if (strncmp(text, "    ", 4) == 0) {
            fputs(".Dl ", stdout);
            print_inline(text + 4, length - 4);
        } else if (length > 0) {
            print_inline(text, length);
        }
        text += length + (text[length] == '\n');
    }
}
