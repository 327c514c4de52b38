/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a worker: take over the mount, restore the state, serve, stop. server.h has a map of
 * the room.
 */
#include "worker.h"

#include "core/base/array.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/accounts.h"
#include "fs/tree/caller.h"
#include "fs/tree/names.h"
#include "server.h"
#include "settings.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The number of requests served before checking the other descriptors again. */
#define BURST 64

/* How often to ask which processors are allowed. */
#define PROCESSORS_NS (10 * NS_PER_MS)

/* How often to look for answers while no request can be read. */
#define FULL_PAUSE_MS 1

static void time_text(void *context, int64_t at_ns, char *text, size_t size)
{
    const struct tree *tree = context;
    strbuf_time_short(at_ns + tree->offset_ns, tree_wall_ns(tree), text, size);
}

static uint32_t account_of(void *context, uint32_t uid)
{
    return names_account(context, uid);
}

static bool is_alive(void *context, uint64_t id)
{
    const struct tree *tree = context;
    return engine_is_known(tree->engine, id); /* its end still needs the figures */
}

/* Deliver SIGTERM and SIGHUP through a descriptor. Call before starting any thread: threads inherit
 * the signal mask. */
static int open_signals(struct server *server)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    server->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return server->signal_fd < 0 ? -errno : 0;
}

static int open_session(struct server *server, const struct worker_fds *fds)
{
    int r = session_open(fds, server, &ops_table, server->tree.names, &server->session);
    if (r)
        return r;
    session_set_waits(server->session, submit_waits);
    server->tree.shared = session_shared(server->session);
    return handles_open(&server->handles, fds->handles, server->tree.names);
}

static void holder_name(void *context, bool group, uint32_t id, char *text, size_t size)
{
    struct names *names = context;
    snprintf(text, size, "%s", group ? names_group(names, id) : names_user(names, id));
}

/* Who waits comes in the order of usage. */
static void set_rules(struct tree *tree)
{
    const struct engine_rules rules = {.order = engine_order_by_usage, .context = tree->engine};
    engine_set_rules(tree->engine, &rules);
    engine_set_holder_name(tree->engine, holder_name, tree->names);
}

static int start(struct server *server, const struct worker_fds *fds)
{
    static const struct host_state unknown; /* until the host thread reports */
    struct tree *tree = &server->tree;
    tree_init(tree, tree_table);
    tree->members = &server->members;
    tree->devices = server->devices;
    tree->host_state = &unknown;
    int r = open_signals(server);
    if (!r)
        r = names_new(NULL, &tree->names);
    if (!r)
        r = open_session(server, fds);
    if (!r)
        r = caller_init(tree);
    covered_open(server);
    if (!r)
        r = engine_new(time_text, tree, &tree->engine);
    if (!r)
        engine_set_accounts(tree->engine, account_of, tree->names);
    if (!r)
        set_rules(tree);
    if (!r)
        r = ledger_new(fds->ledger, is_alive, tree, &tree->ledger);
    if (!r)
        r = bookings_new(&tree->bookings);
    server->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    server->armed_ns = ENGINE_FOREVER;
    if (!r && server->timer_fd < 0)
        r = -errno;
    if (!r)
        r = submit_watch_clock(server);
    if (r)
        return r;
    tree->now_ns = clock_boottime_ns();
    server->repair_is_due = true; /* devices and clocks may have changed since */
    r = recover_state(server);
    if (!r)
        r = recover_host(server);
    /* The host thread knows them now, so their processes end with them. */
    if (!r)
        r = submit_close_unheld(server);
    struct committer_start committer = {.store = server->store,
                                        .session = server->session,
                                        .host = server->host,
                                        .mount_id = tree->shared->mount_id,
                                        .replies = server->replies,
                                        .reply_count = server->reply_count,
                                        .devices = tree->devices,
                                        .device_count = tree->device_count};
    return r ? r : committer_new(&committer, &server->committer);
}

static void stop(struct server *server, int exit_code)
{
    server->stopping = true;
    server->exit_code = exit_code;
}

/* A request has come: adapt how long to look for the next. */
static void found_request(struct server *server)
{
    if (server->processors > 1)
        busy_poll_found(&server->busy_poll, clock_monotonic_ns(), server->processors);
}

/* Ask now and then which processors are allowed: it costs as much as a part of a request. */
static void count_processors(struct server *server)
{
    cpu_set_t set;
    if (server->tree.now_ns - server->processors_ns <= PROCESSORS_NS)
        return;
    server->processors_ns = server->tree.now_ns;
    server->processors = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

/* Nothing is left to serve: return the time until which to look for the next request; 0: not at
 * all. Not with one processor, and not while a commit is on its way: it needs a processor, and its
 * client asks nothing. Nor while the plan is not finished. */
static int64_t look_until_ns(struct server *server)
{
    count_processors(server);
    if (server->processors < 2 || !engine_policy(server->tree.engine)->busy_poll ||
        !engine_plan_is_finished(server->tree.engine) || committer_is_busy(server->committer))
        return 0;
    const int64_t now_ns = clock_monotonic_ns();
    const int64_t until_ns = busy_poll_begin(&server->busy_poll, now_ns);
    return until_ns > now_ns ? until_ns : 0;
}

/* Serve requests, up to BURST, and look for more. Return whether to look on. */
static bool serve(struct server *server)
{
    int64_t until_ns = 0; /* while requests are there */
    for (int i = 0; i < BURST && !server->stopping;) {
        int r = session_serve(server->session);
        if (r == -EAGAIN) {
            if (!until_ns)
                until_ns = look_until_ns(server);
            if (!until_ns || clock_monotonic_ns() >= until_ns)
                return false;
            continue;
        }
        i++;
        if (until_ns)
            found_request(server);
        until_ns = 0;
        if (r == -ENODEV)
            stop(server, WORKER_UNMOUNTED);
        else if (r && r != -EINTR && r != -ENOENT) {
            log_say("Cannot read requests: %s.", strerror(-r));
            stop(server, worker_failure(r));
        }
    }
    return true;
}

static void handle_signal(struct server *server)
{
    struct signalfd_siginfo info;
    if (read(server->signal_fd, &info, sizeof(info)) == sizeof(info))
        stop(server, info.ssi_signo == SIGHUP ? WORKER_REPLACE : WORKER_STOPPED);
}

static void handle_timer(struct server *server)
{
    submit_handle_timer(server);
    pending_expire(server);
}

static void handle_failure(struct server *server)
{
    pending_failed(server, submit_handle_failure(server));
}

static void handle_names(struct server *server)
{
    if (names_collect(server->tree.names)) {
        engine_set_accounts(server->tree.engine, account_of, server->tree.names);
        submit_count_all(server);
    }
    caller_find_admin_group(&server->tree);
}

static void handle_requests(struct server *server)
{
    server->has_requests = true; /* served after all other descriptors */
    found_request(server);
}

/* A descriptor that the loop watches, and its handler. */
struct source {
    int fd;
    void (*handle)(struct server *server);
};

static void loop(struct server *server, int epoll_fd)
{
    bool looks = false;
    while (!server->stopping) {
        struct epoll_event events[8];
        server->has_requests = session_holds(server->session) || looks;
        bool busy = server->has_requests || handles_any_to_wake(&server->handles);
        if (!busy && session_is_full(server->session))
            poll(NULL, 0, FULL_PAUSE_MS); /* the requests that cannot be read end no wait */
        int n = epoll_wait(epoll_fd, events, 8, busy ? 0 : -1);
        if (n < 0 && errno != EINTR) {
            log_say("Cannot wait for requests: %s.", strerror(errno));
            stop(server, WORKER_FATAL);
        }
        for (int i = 0; i < n && !server->stopping; i++) {
            const struct source *source = events[i].data.ptr;
            source->handle(server);
        }
        looks = server->has_requests && serve(server);
        poll_wake_some(server);
    }
}

/* Serve until told to stop. 0 or -errno. */
static int run(struct server *server, const struct worker_fds *fds)
{
    struct source sources[] = {
        {server->signal_fd, handle_signal},
        {fds->fuse, handle_requests},
        {server->timer_fd, handle_timer},
        {server->clock_fd, submit_handle_clock},
        {host_fd(server->host), results_handle},
        {committer_fd(server->committer), handle_failure},
        {names_fd(server->tree.names), handle_names},
    };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &sources[i]};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sources[i].fd, &event))
            return -errno;
    }
    loop(server, epoll_fd);
    /* The next worker serves what was read, and reads the rest. What cannot be written now
     * (expiries on a full disk) is decided again when it starts. */
    results_finish(server);
    server->record_due_ns = 0;
    submit_events(server, NULL); /* the final time and usage */
    if (!committer_drain(server->committer))
        submit_handle_failure(server);
    return 0;
}

int worker_run(const struct worker_fds *fds)
{
    struct server *server = calloc(1, sizeof(*server));
    int r = server ? start(server, fds) : -ENOMEM;
    if (r) {
        log_say("Cannot start: %s.", strerror(-r));
        return worker_failure(r);
    }
    atomic_fetch_add(&server->tree.shared->worker_starts, 1);
    settings_make(server);
    caller_find_admin_group(&server->tree);
    submit_events(server, NULL); /* what submit_close_unheld ended */
    submit_tick(server);
    submit_count_all(server);
    submit_arm_next(server);
    /* Answer FUSE_INIT if no worker has. */
    r = session_start(server->session);
    if (r) {
        log_say("The kernel rejected the answer to FUSE_INIT: %s.", strerror(-r));
        return worker_failure(r);
    }
    poll_wake_all(server);
    if (write(fds->ready, "", 1) != 1) {
        log_say("Cannot tell the supervisor that this worker is ready: %s.", strerror(errno));
        return WORKER_SHORT;
    }
    r = run(server, fds);
    if (r) {
        log_say("Cannot wait for requests: %s.", strerror(-r));
        return worker_failure(r);
    }
    /* The exit frees everything else. */
    return server->exit_code;
}
