/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for a terminal. A column is as wide as its widest cell, if the terminal has room. */
#include "core/base/array.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX 12
#define NARROWEST  5    /* a column is not cut below this */
#define CUT        ".." /* ends what was cut */

struct cell {
    enum colour colour;
    char *text;
};
struct table {
    const char *const *titles;
    size_t columns;
    size_t width[COLUMN_MAX];
    size_t gap; /* between columns */
    struct cell *cells;
    size_t count, room;
};

static void *check(void *memory)
{
    if (!memory) {
        output_message("Out of memory.");
        exit(1);
    }
    return memory;
}

struct table *table_new(const char *const *titles)
{
    struct table *table = check(calloc(1, sizeof(*table)));
    table->titles = titles;
    while (table->columns < COLUMN_MAX && titles[table->columns]) {
        table->width[table->columns] = strlen(titles[table->columns]);
        table->columns++;
    }
    return table;
}

void table_cell(struct table *table, enum colour colour, const char *text)
{
    check(array_reserve(table->cells, table->room, table->count + 1) ? NULL : table->cells);
    size_t column = table->count % table->columns, length = strlen(text);
    if (length > table->width[column])
        table->width[column] = length;
    table->cells[table->count++] = (struct cell){colour, check(strdup(text))};
}

static void print_cell(const struct table *table, size_t column, enum colour colour,
                       const char *text)
{
    bool last = column + 1 == table->columns, plain = colour == PLAIN;
    size_t length = strlen(text), width = table->width[column];
    bool cut = length > width;
    if (cut) {
        length = width - strlen(CUT);
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--; /* not within a character */
    }
    printf("%s%.*s%s%s", plain ? "" : output_colour(colour), (int)length, text, cut ? CUT : "",
           plain ? "" : output_colour(PLAIN));
    if (cut)
        length += strlen(CUT);
    if (last)
        putchar('\n');
    else
        printf("%*s", (int)(width - length + table->gap), "");
}

/* Return whether the column holds words, which may be cut; numbers and times may not. */
static bool is_words(const char *title)
{
    return strcmp(title, "NAME") == 0 || strcmp(title, "USER") == 0 || strcmp(title, "BY") == 0;
}

static size_t width_of_all(const struct table *table)
{
    size_t all = table->gap * (table->columns - 1);
    for (size_t i = 0; i < table->columns; i++)
        all += table->width[i];
    return all;
}

/* Narrow the gaps, then the widest column of words, until the table fits or none can be
 * narrowed. */
static void fit(struct table *table, size_t width)
{
    table->gap = 2;
    if (width_of_all(table) > width)
        table->gap = 1;
    for (size_t all = width_of_all(table); all > width; all--) {
        size_t *widest = NULL;
        for (size_t i = 0; i < table->columns; i++) {
            bool wider = !widest || table->width[i] > *widest;
            if (is_words(table->titles[i]) && wider)
                widest = &table->width[i];
        }
        if (!widest || *widest <= NARROWEST)
            return;
        --*widest;
    }
}

void table_print(struct table *table)
{
    fit(table, output_size(NULL));
    for (size_t i = 0; i < table->columns; i++)
        print_cell(table, i, BOLD, table->titles[i]);
    for (size_t i = 0; i < table->count; i++)
        print_cell(table, i % table->columns, table->cells[i].colour, table->cells[i].text);
}

struct table *table_free(struct table *table)
{
    for (size_t i = 0; table && i < table->count; i++)
        free(table->cells[i].text);
    if (table)
        free(table->cells);
    free(table);
    return NULL;
}
