/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of `chronos top`: the devices, the partitions that are held, and what waits. */
#ifndef CHRONOS_TOOLS_TOP_H
#define CHRONOS_TOOLS_TOP_H

#include "queue.h"
#include "select.h"

#include <time.h>

/* A partition, as small as it can be: there may be very many. */
struct top_row {
    char id[CHRONOS_ID_MAX];
    char device[40], share[16], state[16];
    char user[USERNAME_MAX + 1];
    char name[68];
    uint64_t bytes, used, remaining;
    time_t end;
};

enum top_order { TOP_BY_END, TOP_BY_SIZE, TOP_BY_USE, TOP_BY_USER, TOP_ORDERS };

struct top {
    struct chronos_device *devices; /* with CHRONOS_ALL */
    size_t device_count;
    struct top_row *rows;
    size_t row_count;
    struct queue_row *waiting; /* by start */
    size_t waiting_count;
    char usage[256]; /* what the caller has used, as a line; "": not known */
};

/* Read the devices, first those that are held, the partitions that `select` lets through, in this
 * order, and what waits. Leave out what cannot be read. 0, and the caller calls top_release; or
 * -errno. */
int top_load(const struct chronos_mount *mount, const struct select *select, enum top_order order,
             struct top *ret_top);
void top_release(struct top *top);

/* What the screen shows of it. */
struct top_view {
    enum top_order order;
    bool mine;
    size_t first; /* rows scrolled past: of the partitions, then of the queue; corrected by the
                   * screen */
};

/* Begin to draw on the terminal. 0, and the caller calls top_screen_close; or -ENOTTY: this kind of
 * terminal is not known. */
int top_screen_open(void);
void top_screen_close(void);
void top_screen_draw(const struct top *top, struct top_view *view);

enum top_key {
    TOP_NOTHING, /* no key, or one without a meaning */
    TOP_QUIT,
    TOP_SORT,
    TOP_MINE,
    TOP_UP,
    TOP_DOWN,
    TOP_PAGE_UP,
    TOP_PAGE_DOWN,
    TOP_HOME,
    TOP_END,
    TOP_REDRAW, /* the terminal has another size */
};
/* Return the next key that was pressed, without waiting. */
enum top_key top_screen_key(void);
/* Return the number of rows that a key for a page moves past. */
size_t top_screen_page(const struct top *top);

#endif
