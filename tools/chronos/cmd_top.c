/* SPDX-License-Identifier: Apache-2.0 */
/* chronos top: a screen with the devices and the partitions, kept up to date. */
#include "command.h"
#include "failure.h"
#include "output.h"
#include "top.h"

#include "core/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define PERIOD_NS (1000 * 1000000LL)
#define EASE      4 /* reading takes at most a fourth of the time */

static const struct option options[] = {
    SELECT_OPTIONS,
    OPTION_END,
};

static volatile sig_atomic_t stopped_by;

static void stop(int number)
{
    stopped_by = number;
}

/* Change the view. Return false to end. */
static bool act(enum top_key key, const struct top *top, struct top_view *view)
{
    size_t page = top_screen_page(top);
    switch (key) {
    case TOP_QUIT:
        return false;
    case TOP_SORT:
        view->order = (view->order + 1) % TOP_ORDERS;
        view->first = 0;
        break;
    case TOP_MINE:
        view->mine = !view->mine;
        view->first = 0;
        break;
    case TOP_UP:
        view->first -= view->first > 0;
        break;
    case TOP_DOWN:
        view->first++;
        break;
    case TOP_PAGE_UP:
        view->first -= view->first < page ? view->first : page;
        break;
    case TOP_PAGE_DOWN:
        view->first += page;
        break;
    case TOP_HOME:
        view->first = 0;
        break;
    case TOP_END:
        view->first = top->row_count + top->waiting_count;
        break;
    case TOP_NOTHING:
    case TOP_REDRAW:
        break;
    }
    return true;
}

/* Wait for a key until `until_ns`, and take it. */
static enum top_key next_key(int64_t until_ns)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    enum top_key key = top_screen_key();
    int64_t left_ns = until_ns - clock_boottime_ns();
    if (key != TOP_NOTHING || left_ns <= 0 || stopped_by)
        return key;
    poll(&input, 1, (int)(left_ns / 1000000) + 1);
    if (input.revents & (POLLHUP | POLLERR | POLLNVAL))
        return TOP_QUIT;
    return top_screen_key();
}

static int show(const struct chronos_mount *mount, const struct select *given,
                struct top_view *view)
{
    bool goes_on = true;
    while (goes_on && !stopped_by) {
        struct select select = *given;
        struct top top;
        if (view->mine) {
            select.user = NULL;
            select.by_uid = true;
            select.uid = geteuid();
        }
        int64_t began_ns = clock_boottime_ns();
        int r = top_load(mount, &select, view->order, &top);
        if (r < 0)
            return r;
        int64_t next_ns = began_ns + PERIOD_NS, eased_ns = clock_boottime_ns();
        eased_ns += (EASE - 1) * (eased_ns - began_ns);
        next_ns = next_ns > eased_ns ? next_ns : eased_ns;
        top_screen_draw(&top, view);
        while (goes_on && !stopped_by && clock_boottime_ns() < next_ns) {
            enum top_key key = next_key(next_ns);
            goes_on = act(key, &top, view);
            if (key == TOP_SORT || key == TOP_MINE)
                break; /* read it in that order */
            if (key != TOP_NOTHING)
                top_screen_draw(&top, view);
        }
        top_release(&top);
    }
    return 0;
}

static int run(const struct chronos_mount *mount, const struct args *args)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = stop};
    struct top_view view = {.order = TOP_BY_END};
    struct select select;
    int r = select_init(mount, args, &select);
    if (r)
        return r;
    if (!output_cursor() || !isatty(STDIN_FILENO))
        return args_usage_error(args->command,
                                "This command needs a terminal; in a pipe, use chronos list.");
    r = top_screen_open();
    if (r < 0) {
        output_message("This kind of terminal is not known here; set TERM, for example to vt100.");
        return EXIT_REFUSED;
    }
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    r = show(mount, &select, &view);
    top_screen_close();
    if (stopped_by) {
        signal(stopped_by, SIG_DFL);
        raise(stopped_by);
    }
    return r < 0 ? failure_report(mount, "The partitions could not be read", r) : EXIT_DONE;
}

const struct command cmd_top = {
    .name = "top",
    .args = "",
    .summary = "Show devices and partitions, kept up to date.",
    .help = "Fills the terminal: a bar for each device, then the partitions, and first those\n"
            "that end first, then what waits, by start. It is read again every second.\n"
            "\n"
            "Keys: q quits, up and down scroll, s sorts by end, size, use or user, and u\n"
            "shows only your own partitions, or all.",
    .options = options,
    .run = run,
};
