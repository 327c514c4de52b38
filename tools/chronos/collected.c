/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read files collected from nodes; see collected.h. It follows no links and opens nothing but
 * regular files: what lies there came from other machines.
 */
#include "collected.h"

#include "core/base/array.h"
#include "tools/libchronos/client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEVICES_MAX 1024

/* A line about a partition; they are sorted by id. */
struct line {
    uint64_t id;
    size_t order; /* of reading */
    const char *text;
};

/* All files of one node. */
struct node {
    const char *name;
    struct collected_gaps *gaps;
    char **texts; /* whole files, cut into lines */
    size_t text_count, text_room;
    struct line *lines;
    size_t count, room;
    uint64_t *totals;
    size_t total_count;
    unsigned long long lost; /* by the file that has lost least: others overlap it */
};

static int read_file(int directory, const char *name, char **ret_text)
{
    struct stat st;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int r = fd < 0 || fstat(fd, &st) != 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    if (!r)
        r = chronos_read_fd(fd, ret_text);
    fd_close(fd);
    return r;
}

static void note_bad(struct node *node, const char *file, size_t number)
{
    struct collected_gaps *gaps = node->gaps;
    if (gaps->bad++ == 0)
        snprintf(gaps->first_bad, sizeof(gaps->first_bad), "%.200s/%.200s, line %zu", node->name,
                 file, number);
}

/* Add the lines of one history. `text` belongs to the node then. */
static int add_history(struct node *node, const char *file, char *text)
{
    unsigned long long lost = 0;
    char *rest = text, *next;
    for (size_t number = 1; (next = strsep(&rest, "\n")); number++) {
        struct chronos_line line;
        uint64_t id;
        chronos_clean(next);
        chronos_line_split(next, strlen(next), &line);
        if (line.count == 0)
            continue;
        if (strcmp(line.words[0], "lost") == 0) {
            lost += chronos_number(chronos_line_value(&line, "lines"));
        } else if (!chronos_parse_id(line.words[0], &id) ||
                   chronos_line_value(&line, "end")[0] == '\0') {
            note_bad(node, file, number);
        } else {
            if (array_reserve(node->lines, node->room, node->count + 1) < 0)
                return -ENOMEM;
            node->lines[node->count] = (struct line){id, node->count, next};
            node->count++;
        }
    }
    if (node->text_count == 1 || lost < node->lost)
        node->lost = lost;
    return 0;
}

/* Take the sizes of devices from a copy of `metrics`. */
static int add_sizes(struct node *node, const char *text)
{
    static const char head[] = "chronos_device_memory_bytes{device=\"gpu";
    node->totals = calloc(DEVICES_MAX, sizeof(*node->totals));
    if (!node->totals)
        return -ENOMEM;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, head, sizeof(head) - 1) != 0)
            continue;
        unsigned long index = strtoul(line + sizeof(head) - 1, NULL, 10);
        const char *blank = memrchr(line, ' ', strcspn(line, "\n"));
        if (index >= DEVICES_MAX || !blank)
            continue;
        node->totals[index] = strtoull(blank, NULL, 10);
        if (node->total_count <= index)
            node->total_count = index + 1;
    }
    return 0;
}

static int add_file(struct node *node, int directory, const char *name)
{
    char *text;
    if (strncmp(name, "history", 7) != 0 && strcmp(name, "metrics") != 0)
        return 0;
    int r = read_file(directory, name, &text);
    if (r < 0)
        return r;
    if (name[0] == 'm') {
        r = add_sizes(node, text);
        free(text);
        return r;
    }
    if (array_reserve(node->texts, node->text_room, node->text_count + 1) < 0) {
        free(text);
        return -ENOMEM;
    }
    node->texts[node->text_count++] = text;
    return add_history(node, name, text);
}

static int compare_lines(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int hand_over(struct node *node, collected_fn *each, void *context)
{
    const struct collected_node known = {node->name, node->totals, node->total_count};
    int r = 0;
    if (node->count > 0)
        qsort(node->lines, node->count, sizeof(*node->lines), compare_lines);
    for (size_t i = 0; !r && i < node->count; i++) {
        if (i == 0 || node->lines[i].id != node->lines[i - 1].id)
            r = each(context, &known, node->lines[i].text);
    }
    node->gaps->lost += node->lost;
    return r;
}

/* Sort out "." and "..", and files that are hidden. */
static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int read_files(struct node *node, int above)
{
    struct dirent **entries = NULL;
    int fd = openat(above, node->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int count = fd < 0 ? -1 : scandirat(fd, ".", &entries, is_shown, alphasort);
    int r = count < 0 ? -errno : 0;
    for (int i = 0; i < count; i++) {
        if (!r)
            r = add_file(node, fd, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    fd_close(fd);
    return r ? r : node->text_count > 0 ? 0 : -ENOENT;
}

static void node_release(struct node *node)
{
    for (size_t i = 0; i < node->text_count; i++)
        free(node->texts[i]);
    free(node->texts);
    free(node->lines);
    free(node->totals);
}

static int read_node(int above, const char *name, collected_fn *each, void *context,
                     struct collected_gaps *gaps)
{
    struct node node = {.name = name, .gaps = gaps};
    int r = read_files(&node, above), done = 0;
    if (!r) {
        gaps->nodes++;
        done = hand_over(&node, each, context);
    } else if (r != -ENOTDIR) {
        failure_skip(&gaps->skipped, name, r);
        gaps->skipped.failed = true;
    }
    node_release(&node);
    return done;
}

int collected_read(const char *directory, collected_fn *each, void *context,
                   struct collected_gaps *ret_gaps)
{
    struct collected_gaps *gaps = calloc(1, sizeof(*gaps));
    struct dirent **entries = NULL;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = !gaps || fd < 0 ? -1 : scandirat(fd, ".", &entries, is_shown, alphasort);
    int r = !gaps ? -ENOMEM : count < 0 ? -errno : 0;
    for (int i = 0; i < count; i++) {
        chronos_clean(entries[i]->d_name);
        if (!r)
            r = read_node(fd, entries[i]->d_name, each, context, gaps);
        free(entries[i]);
    }
    if (!r)
        *ret_gaps = *gaps;
    free(entries);
    free(gaps);
    fd_close(fd);
    return r;
}
