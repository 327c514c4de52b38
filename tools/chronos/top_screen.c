/* SPDX-License-Identifier: Apache-2.0 */
/* Draw `chronos top` with ncurses; see top.h. */
#include "output.h"
#include "top.h"

#include <errno.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLOUR_LOW = 1, COLOUR_OUT, COLOUR_BAR };

static SCREEN *screen;

int top_screen_open(void)
{
    const char *no_color = getenv("NO_COLOR");
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return -ENOTTY;
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    if (has_colors() && (!no_color || no_color[0] == '\0')) {
        start_color();
        use_default_colors();
        init_pair(COLOUR_LOW, COLOR_YELLOW, -1);
        init_pair(COLOUR_OUT, COLOR_RED, -1);
        init_pair(COLOUR_BAR, COLOR_GREEN, -1);
    }
    return 0;
}

void top_screen_close(void)
{
    endwin();
    delscreen(screen);
    screen = NULL;
}

enum top_key top_screen_key(void)
{
    switch (getch()) {
    case 'q':
    case 'Q':
        return TOP_QUIT;
    case 's':
        return TOP_SORT;
    case 'u':
        return TOP_MINE;
    case KEY_UP:
    case 'k':
        return TOP_UP;
    case KEY_DOWN:
    case 'j':
        return TOP_DOWN;
    case KEY_PPAGE:
        return TOP_PAGE_UP;
    case KEY_NPAGE:
    case ' ':
        return TOP_PAGE_DOWN;
    case KEY_HOME:
        return TOP_HOME;
    case KEY_END:
        return TOP_END;
    case KEY_RESIZE:
        return TOP_REDRAW;
    default:
        return TOP_NOTHING;
    }
}

/* -- layout --------------------------------------------------------------------------------- */

/* From the top: a line about all, perhaps one about the caller, the devices, an empty line, the
 * partitions below their titles, the same of the queue, and the keys. */
struct layout {
    size_t devices;      /* lines, at most a third of the screen */
    size_t rows_line;    /* titles of the partitions */
    size_t rows;         /* room for partitions */
    size_t waiting_line; /* titles of the queue */
    size_t waiting;      /* room for the queue; 0: it is not shown */
};

/* Share the room between partitions and queue: what one does not need goes to the other, which has
 * at least half. */
static struct layout layout_of(const struct top *top)
{
    size_t lines = LINES > 0 ? (size_t)LINES : 1, most = lines > 6 ? lines / 3 : 1;
    size_t head = 1 + (top->usage[0] != '\0');
    struct layout layout = {.devices = top->device_count < most ? top->device_count : most};
    layout.rows_line = head + layout.devices + 1;
    size_t used = layout.rows_line + 1 + 1, room = lines > used ? lines - used : 0;
    if (top->waiting_count > 0 && room >= 5) {
        room -= 2; /* an empty line and the titles */
        size_t rows = top->row_count > 0 ? top->row_count : 1, half = room / 2;
        size_t spare = rows < room - half ? room - half - rows : 0;
        layout.waiting = half + spare;
        if (layout.waiting > top->waiting_count)
            layout.waiting = top->waiting_count;
        room -= layout.waiting;
    }
    layout.rows = room;
    layout.waiting_line = layout.rows_line + 1 + room + 1;
    return layout;
}

size_t top_screen_page(const struct top *top)
{
    struct layout layout = layout_of(top);
    return layout.rows > 1 ? layout.rows : 1;
}

/* Return how far rows can be scrolled. */
static size_t scroll_most(size_t count, size_t room)
{
    return count > room ? count - room : 0;
}

/* Write a line, cut at the end of the screen. */
__attribute__((format(printf, 2, 3))) static void put(size_t line, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    if (LINES > 0 && line < (size_t)LINES)
        mvaddnstr((int)line, 0, text, COLS);
}

static void put_all(const struct top *top, const struct top_view *view)
{
    static const char *const orders[TOP_ORDERS] = {
        [TOP_BY_END] = "end", [TOP_BY_SIZE] = "size", [TOP_BY_USE] = "use", [TOP_BY_USER] = "user"};
    char clock[32], all[128];
    time_t now = time(NULL);
    struct tm tm;
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
    snprintf(all, sizeof(all), "%zu device%s, %zu partition%s%s", top->device_count,
             top->device_count == 1 ? "" : "s", top->row_count, top->row_count == 1 ? "" : "s",
             view->mine ? " of yours" : "");
    if (top->waiting_count > 0)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), ", %zu waiting", top->waiting_count);
    put(0, "chronos %s  %s, by %s", clock, all, orders[view->order]);
}

static void put_device(size_t line, const struct chronos_device *device)
{
    const struct chronos_record *record = &device->record;
    uint64_t total = chronos_number(record->value[CHRONOS_DEVICE_MEMORY_TOTAL]);
    uint64_t held = chronos_number(record->value[CHRONOS_DEVICE_MEMORY_USED]);
    char free_text[32], bar[256];
    double part = total > 0 ? (double)held / (double)total : 0;
    size_t width = COLS > 50 ? (size_t)COLS - 44 : 6, filled;
    width = width < sizeof(bar) ? width : sizeof(bar) - 1;
    filled = (size_t)(part * (double)width + 0.5);
    filled = held > 0 && filled == 0 ? 1 : filled > width ? width : filled;
    memset(bar, ' ', width);
    memset(bar, '#', filled);
    bar[width] = '\0';
    output_bytes_text(chronos_number(record->value[CHRONOS_DEVICE_MEMORY_AVAILABLE]), free_text,
                      sizeof(free_text));
    put(line, "gpu%-4u [%s] %5.1f%% held, %s free", device->index, bar, part * 100, free_text);
    if (filled > 0 && COLS > 10)
        mvchgat((int)line, 9, (int)filled, A_NORMAL, held >= total ? COLOUR_LOW : COLOUR_BAR, NULL);
}

static void put_devices(const struct top *top, const struct layout *layout)
{
    size_t line = layout->rows_line - 1 - layout->devices, shown = layout->devices;
    if (shown < top->device_count)
        shown--;
    for (size_t i = 0; i < shown; i++)
        put_device(line + i, &top->devices[i]);
    if (shown < layout->devices)
        put(line + shown, "and %zu more devices", top->device_count - shown);
}

static void put_row(size_t line, const struct top_row *row)
{
    char bytes[32], used[32], left[40], ends[32];
    struct tm tm;
    output_bytes_text(row->bytes, bytes, sizeof(bytes));
    output_bytes_text(row->used, used, sizeof(used));
    output_seconds_text(row->remaining, left, sizeof(left));
    snprintf(ends, sizeof(ends), "?");
    if (localtime_r(&row->end, &tm))
        strftime(ends, sizeof(ends), row->end - time(NULL) < 86400 ? "%H:%M" : "%m-%d", &tm);
    put(line, "%-7s %-10.10s %-6s %7s %10s %10s %8s %6s  %s", row->id, row->user, row->device,
        row->share, bytes, used, left, ends, row->name);
    short colour = row->remaining < 60 ? COLOUR_OUT : row->remaining < 600 ? COLOUR_LOW : 0;
    if (colour && COLS > 64)
        mvchgat((int)line, 56, 8, A_NORMAL, colour, NULL);
}

static void put_titles(size_t line)
{
    if (LINES > 0 && line < (size_t)LINES)
        mvchgat((int)line, 0, -1, A_BOLD, 0, NULL);
}

static void put_rows(const struct top *top, const struct top_view *view,
                     const struct layout *layout, size_t first)
{
    size_t line = layout->rows_line;
    put(line, "%-7s %-10s %-6s %7s %10s %10s %8s %6s  %s", "ID", "USER", "DEVICE", "SHARE",
        "MEMORY", "USED", "LEFT", "ENDS", "NAME");
    put_titles(line);
    for (size_t i = 0; i < layout->rows && first + i < top->row_count; i++)
        put_row(line + 1 + i, &top->rows[first + i]);
    if (top->row_count == 0 && layout->rows > 0)
        put(line + 1, view->mine ? "You hold no partition." : "No partition is held.");
}

static void put_waiting(const struct top *top, const struct layout *layout, size_t first)
{
    size_t line = layout->waiting_line;
    if (layout->waiting == 0)
        return;
    put(line, "%-7s %-10s %-6s %7s %10s %10s  %-13s  %s", "QUEUE", "USER", "CLASS", "SHARE", "FOR",
        "STARTS", "AT THE LATEST", "DEVICES");
    put_titles(line);
    for (size_t i = 0; i < layout->waiting && first + i < top->waiting_count; i++) {
        const struct queue_row *row = &top->waiting[first + i];
        char share[64], length[40], start[64], promised[64];
        output_share_text(row->share, share, sizeof(share));
        output_seconds_text(row->seconds, length, sizeof(length));
        output_time_text(row->start, start, sizeof(start));
        output_time_text(row->promised, promised, sizeof(promised));
        put(line + 1 + i, "%-7s %-10.10s %-6.6s %7s %10s %10s  %-13s  %s", row->id, row->user,
            row->priority, share, length, start, promised, row->devices);
    }
}

/* Say which rows are shown, if not all are. */
static void say_place(const char *of, size_t first, size_t room, size_t count, char *text,
                      size_t size)
{
    size_t used = strlen(text), last = first + room < count ? first + room : count;
    if (count > room && room > 0)
        snprintf(text + used, size - used, "%s%s%zu-%zu of %zu", used > 0 ? ", " : "   ", of,
                 first + 1, last, count);
}

static void put_keys(const struct top *top, const struct top_view *view,
                     const struct layout *layout, size_t first)
{
    char place[128] = "";
    say_place("", first, layout->rows, top->row_count, place, sizeof(place));
    say_place("queue ", view->first - first, layout->waiting, top->waiting_count, place,
              sizeof(place));
    put(LINES > 0 ? (size_t)LINES - 1 : 0, "q quit   up, down scroll   s sort   u %s%s",
        view->mine ? "all" : "only yours", place);
}

void top_screen_draw(const struct top *top, struct top_view *view)
{
    const struct layout layout = layout_of(top);
    size_t rows = scroll_most(top->row_count, layout.rows);
    size_t most = rows;
    if (layout.waiting > 0)
        most += scroll_most(top->waiting_count, layout.waiting);
    view->first = view->first < most ? view->first : most;
    size_t first = view->first < rows ? view->first : rows;
    erase();
    put_all(top, view);
    if (top->usage[0] != '\0')
        put(1, "%s", top->usage);
    put_devices(top, &layout);
    put_rows(top, view, &layout, first);
    put_waiting(top, &layout, view->first - first);
    put_keys(top, view, &layout, first);
    refresh();
}
