/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late a client that polls learns that a partition has ended, against how late a bare
 * timer of its own wakes it. One end each END_GAP_US; the timer and the subjects take turns.
 */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define ENDS       100
#define END_GAP_US 2000
#define END_LIFE_S 2
#define CLOCKS_US  2000 /* how far apart readings of two clocks may be */

static double wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

struct end {
    int fd, who;
    double at_us;
};

/* Participant 0 is a bare timer, the others a partition that someone polls. */
static struct end make_end(struct bench *bench, int who)
{
    struct timespec at;
    if (who == 0) {
        struct end end = {timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC), who, 0};
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_sec += END_LIFE_S;
        if (timerfd_settime(end.fd, TFD_TIMER_ABSTIME, &(struct itimerspec){.it_value = at}, NULL))
            measure_die("timerfd");
        end.at_us = (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
        return end;
    }
    char path[2 * BENCH_PATH], request[32];
    const char *root = bench->subjects[who - 1].small.root;
    unsigned long id;
    struct stat st;
    snprintf(path, sizeof(path), "%s/gpu0/new", root);
    snprintf(request, sizeof(request), "1M %d\n", END_LIFE_S);
    rows_create(path, request, &id);
    snprintf(path, sizeof(path), "%s/gpu0/p%lu", root, id);
    if (stat(path, &st)) /* its time of change is its end */
        measure_die(path);
    snprintf(path, sizeof(path), "%s/gpu0/p%lu/state", root, id);
    struct end end = {rows_open(path, O_RDONLY), who, 0};
    if (read(end.fd, request, sizeof(request)) < 0)
        measure_die(path);
    end.at_us = (double)st.st_mtim.tv_sec * 1e6 + (double)st.st_mtim.tv_nsec / 1e3;
    return end;
}

static void wait_for_ends(struct bench *bench, int epoll, const struct end *ends, int count,
                          double late[][ENDS])
{
    int counts[1 + BENCH_SUBJECTS] = {0};
    for (int left = count; left > 0; left--) {
        struct epoll_event event;
        int r = epoll_wait(epoll, &event, 1, 10000);
        double now = wall_us();
        if (r != 1) {
            errno = r ? errno : ETIMEDOUT;
            measure_die("waiting for the ends");
        }
        const struct end *end = &ends[event.data.u32];
        late[end->who][counts[end->who]++] = now - end->at_us;
        if (end->who && now < end->at_us - CLOCKS_US)
            bench->subjects[end->who - 1].early++;
        epoll_ctl(epoll, EPOLL_CTL_DEL, end->fd, NULL);
    }
}

void ends_round(struct bench *bench)
{
    static struct end ends[(1 + BENCH_SUBJECTS) * ENDS];
    static double late[1 + BENCH_SUBJECTS][ENDS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), participants = 1 + bench->subject_count;
    int count = participants * ENDS;
    double start = measure_now_us();
    for (int i = 0; i < count; i++) {
        double pause = start + (double)i * END_GAP_US - measure_now_us();
        if (pause > 0)
            usleep((useconds_t)pause);
        ends[i] = make_end(bench, rows_turn(bench, 1, 1, i / participants, i % participants));
        struct epoll_event event = {.events = ends[i].who ? EPOLLPRI : EPOLLIN,
                                    .data.u32 = (uint32_t)i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, ends[i].fd, &event))
            measure_die("epoll_ctl");
    }
    wait_for_ends(bench, epoll, ends, count, late);
    for (int i = 0; i < count; i++)
        close(ends[i].fd);
    close(epoll);
    for (int s = 0; s < bench->subject_count; s++) {
        rows_note(bench, ROW_END_P50, s, measure_quantile(late[0], ENDS, 0.5),
                  measure_quantile(late[1 + s], ENDS, 0.5));
        rows_note(bench, ROW_END_P99, s, measure_quantile(late[0], ENDS, 0.99),
                  measure_quantile(late[1 + s], ENDS, 0.99));
    }
}
