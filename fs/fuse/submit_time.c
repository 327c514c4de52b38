/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clocks, and the timer for what is due next. It must not know what is done then.
 */
#include "core/base/clock.h"
#include "core/engine/accounts.h"
#include "fs/tree/calendar_windows.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

/* The two clocks run at the same rate: a larger difference is a step of the wall clock, a smaller
 * one the time between the two reads. */
#define STEP_NS  NS_PER_MS
#define ZONE_NS  NS_PER_SECOND
#define ZONE_MAX 16
/* How far the wall clock may go from where it was until appointments are compared with it. */
#define DRIFT_NS (NS_PER_SECOND / 2)

/* The days and weeks of quotas, as far ahead as they are listed. */
void submit_set_calendar(struct server *server)
{
    struct tree *tree = &server->tree;
    calendar_windows_fill(&server->windows, tree_wall_ns(tree), tree->offset_ns);
    engine_set_calendar(tree->engine, &server->windows.quota);
    server->calendar_until_ns = server->windows.week_ns[CALENDAR_WEEKS / 2];
}

/* Return whether local time is another since the last look, at most once in ZONE_NS: libc looks at
 * /etc/localtime again, unless TZ says where local time is. */
static bool zone_changed(struct server *server)
{
    char before[2][ZONE_MAX];
    const long west_s = timezone;
    if (server->tree.now_ns - server->zone_seen_ns < ZONE_NS)
        return false;
    server->zone_seen_ns = server->tree.now_ns;
    for (int i = 0; i < 2; i++)
        snprintf(before[i], sizeof(before[i]), "%s", tzname[i]);
    tzset();
    return timezone != west_s || strncmp(before[0], tzname[0], ZONE_MAX - 1) != 0 ||
           strncmp(before[1], tzname[1], ZONE_MAX - 1) != 0;
}

void submit_read_clocks(struct server *server)
{
    struct tree *tree = &server->tree;
    tree->now_ns = clock_boottime_ns();
    int64_t offset_ns = clock_realtime_ns() - tree->now_ns;
    int64_t step_ns = offset_ns - tree->offset_ns;
    bool stepped = step_ns > STEP_NS || step_ns < -STEP_NS;
    if (stepped)
        tree->offset_ns = offset_ns;
    if (zone_changed(server) || stepped || tree->now_ns >= server->calendar_until_ns)
        submit_set_calendar(server);
}

void submit_repair(struct server *server)
{
    struct tree *tree = &server->tree;
    int64_t step_ns = tree->offset_ns - server->repaired_offset_ns;
    if (!server->repair_is_due && step_ns <= DRIFT_NS && step_ns >= -DRIFT_NS)
        return;
    server->repair_is_due =
        engine_repair_plan(tree->engine, tree->now_ns) ||
        engine_keep_appointments(tree->engine, tree->now_ns, tree_wall_ns(tree));
    server->repaired_offset_ns = tree->offset_ns;
}

/* A timer that fires too early costs less than setting it for every request. */
void submit_arm(struct server *server, int64_t at_ns)
{
    if (at_ns >= server->armed_ns)
        return;
    const struct itimerspec spec = {.it_value = clock_timespec(at_ns > 1 ? at_ns : 1)};
    timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    server->armed_ns = at_ns;
}

int64_t submit_record_due_ns(const struct server *server)
{
    bool any = engine_next_wakeup(server->tree.engine) != ENGINE_FOREVER; /* it has an end */
    bool needed = any || ledger_changed(server->tree.ledger);
    return needed ? server->record_due_ns : ENGINE_FOREVER;
}

void submit_arm_next(struct server *server)
{
    submit_arm(server, engine_next_wakeup(server->tree.engine));
    submit_arm(server, submit_record_due_ns(server));
}

int submit_watch_clock(struct server *server)
{
    const struct itimerspec never = {.it_value.tv_sec = INT32_MAX};
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0 ||
        timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) != 0)
        return -errno;
    server->clock_fd = fd;
    return 0;
}
