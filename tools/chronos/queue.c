/* SPDX-License-Identifier: Apache-2.0 */
/* Read what waits; see queue.h. It must not know how it is shown. */
#include "queue.h"

#include "output.h"

#include "core/base/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of a line. Behind them, `fixed` says that the start was asked for. */
enum { ID, USER, SHARE, SECONDS, PRIORITY, START, PROMISED, DEVICES, WORDS };

static void copy(char *to, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(to, text, length);
    to[length] = '\0';
}

static bool parse(const char *text, struct queue_row *row)
{
    struct chronos_line line;
    chronos_line_split(text, strlen(text), &line);
    if (line.count < WORDS || !chronos_parse_id(line.words[ID], &row->number) ||
        !output_time_read(line.words[START], &row->starts))
        return false;
    copy(row->id, sizeof(row->id), line.words[ID]);
    copy(row->user, sizeof(row->user), line.words[USER]);
    copy(row->share, sizeof(row->share), line.words[SHARE]);
    copy(row->priority, sizeof(row->priority), line.words[PRIORITY]);
    copy(row->start, sizeof(row->start), line.words[START]);
    copy(row->promised, sizeof(row->promised), line.words[PROMISED]);
    copy(row->devices, sizeof(row->devices), line.words[DEVICES]);
    row->fixed = line.count > WORDS && strcmp(line.words[WORDS], "fixed") == 0;
    row->seconds = chronos_number(line.words[SECONDS]);
    return true;
}

int queue_load(const struct chronos_mount *mount, const char *device, struct queue_row **ret_rows,
               size_t *ret_count)
{
    struct queue_row *rows = NULL, row;
    char path[48], *text, *rest, *line;
    size_t count = 0, room = 0;
    snprintf(path, sizeof(path), "%s%squeue", device ? device : "", device ? "/" : "");
    int r = chronos_read_all(mount->root, path, &text);
    if (r < 0)
        return r;
    chronos_clean(text);
    for (rest = text; !r && (line = strsep(&rest, "\n"));) {
        if (!parse(line, &row))
            continue;
        r = array_reserve(rows, room, count + 1) ? -ENOMEM : 0;
        if (!r)
            rows[count++] = row;
    }
    free(text);
    if (r) {
        free(rows);
        return r;
    }
    *ret_rows = rows;
    *ret_count = count;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    const struct queue_row *const *left = a, *const *right = b;
    return (*left)->number < (*right)->number ? -1 : (*left)->number > (*right)->number;
}

int queue_sort_by_id(const struct queue_row *rows, size_t count,
                     const struct queue_row ***ret_sorted)
{
    const struct queue_row **sorted = calloc(count ? count : 1, sizeof(*sorted));
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &rows[i];
    qsort(sorted, count, sizeof(*sorted), compare_ids);
    *ret_sorted = sorted;
    return 0;
}

const struct queue_row *queue_find(const struct queue_row *const *sorted, size_t count,
                                   uint64_t number)
{
    const struct queue_row key = {.number = number}, *at = &key;
    const struct queue_row *const *found =
        bsearch(&at, sorted, count, sizeof(const struct queue_row *), compare_ids);
    return found ? *found : NULL;
}
