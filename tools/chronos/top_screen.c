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

/* From the top: a line about all, the devices, an empty line, the titles, the partitions, and the
 * keys. The devices have a third of the screen. */
static size_t device_lines(const struct top *top)
{
    size_t most = LINES > 6 ? (size_t)LINES / 3 : 1;
    return top->device_count < most ? top->device_count : most;
}

size_t top_screen_rows(const struct top *top)
{
    size_t used = 1 + device_lines(top) + 2 + 1;
    return LINES > 0 && (size_t)LINES > used ? (size_t)LINES - used : 0;
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
    size_t pending = 0;
    for (size_t i = 0; i < top->row_count; i++)
        pending += top->rows[i].pending;
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
    size_t active = top->row_count - pending;
    snprintf(all, sizeof(all), "%zu device%s, %zu partition%s%s", top->device_count,
             top->device_count == 1 ? "" : "s", active, active == 1 ? "" : "s",
             view->mine ? " of yours" : "");
    if (pending > 0)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), ", %zu waiting", pending);
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

static void put_devices(const struct top *top)
{
    size_t lines = device_lines(top), shown = lines;
    if (lines < top->device_count)
        shown = lines - 1;
    for (size_t i = 0; i < shown; i++)
        put_device(1 + i, &top->devices[i]);
    if (shown < lines)
        put(1 + shown, "and %zu more devices", top->device_count - shown);
}

static void put_row(size_t line, const struct top_row *row)
{
    char bytes[32], used[32], left[40], ends[32], until[32];
    struct tm tm;
    output_bytes_text(row->bytes, bytes, sizeof(bytes));
    output_bytes_text(row->used, used, sizeof(used));
    output_seconds_text(row->remaining, left, sizeof(left));
    if (row->pending) {
        output_seconds_text(row->until_start, until, sizeof(until));
        snprintf(left, sizeof(left), "in %s", until);
    }
    snprintf(ends, sizeof(ends), "?");
    if (localtime_r(&row->end, &tm))
        strftime(ends, sizeof(ends), row->end - time(NULL) < 86400 ? "%H:%M" : "%m-%d", &tm);
    put(line, "%-7s %-10.10s %-6s %7s %10s %10s %8s %6s  %s", row->id, row->user, row->device,
        row->share, bytes, used, left, ends, row->name);
    short colour = row->remaining < 60 ? COLOUR_OUT : row->remaining < 600 ? COLOUR_LOW : 0;
    if (colour && !row->pending && COLS > 64)
        mvchgat((int)line, 56, 8, A_NORMAL, colour, NULL);
}

static void put_rows(const struct top *top, struct top_view *view)
{
    size_t line = 1 + device_lines(top) + 1, room = top_screen_rows(top);
    size_t last = top->row_count > room ? top->row_count - room : 0;
    view->first = view->first < last ? view->first : last;
    put(line, "%-7s %-10s %-6s %7s %10s %10s %8s %6s  %s", "ID", "USER", "DEVICE", "SHARE",
        "MEMORY", "USED", "LEFT", "ENDS", "NAME");
    if (LINES > 0 && line < (size_t)LINES)
        mvchgat((int)line, 0, -1, A_BOLD, 0, NULL);
    for (size_t i = 0; i < room && view->first + i < top->row_count; i++)
        put_row(line + 1 + i, &top->rows[view->first + i]);
    if (top->row_count == 0 && room > 0)
        put(line + 1, view->mine ? "You hold no partition." : "No partition is held.");
}

static void put_keys(const struct top *top, const struct top_view *view)
{
    size_t room = top_screen_rows(top), last = view->first + room;
    char place[64] = "";
    if (top->row_count > room && room > 0)
        snprintf(place, sizeof(place), "   %zu to %zu of %zu", view->first + 1,
                 last < top->row_count ? last : top->row_count, top->row_count);
    put(LINES > 0 ? (size_t)LINES - 1 : 0, "q quit   up, down scroll   s sort   u %s%s",
        view->mine ? "all" : "only yours", place);
}

void top_screen_draw(const struct top *top, struct top_view *view)
{
    erase();
    put_all(top, view);
    put_devices(top);
    put_rows(top, view);
    put_keys(top, view);
    refresh();
}
