/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for a terminal. A column is as wide as its widest cell. */
#include "core/base/array.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX 12

struct cell {
    enum colour colour;
    char *text;
};
struct table {
    const char *const *titles;
    size_t columns;
    size_t width[COLUMN_MAX];
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
    printf("%s%s%s", plain ? "" : output_colour(colour), text, plain ? "" : output_colour(PLAIN));
    if (last)
        putchar('\n');
    else
        printf("%*s", (int)(table->width[column] - strlen(text) + 2), "");
}

void table_print(const struct table *table)
{
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
