/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait for a partition's file `state`; see await.h. A worker that dies is replaced below the open
 * file; when the whole daemon was started again, the tree is opened again.
 */
#include "await.h"

#include "ended.h"
#include "output.h"

#include "core/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How long the tree may be missing, how often to look, and when to tell. */
#define MISSING_NS (60 * NS_PER_SECOND)
#define LOOK_MS    100
#define QUIET_NS   NS_PER_SECOND
/* A file that cannot be polled, as of a tree that is no mount, is read this often. */
#define UNPOLLED_MS 200

static volatile sig_atomic_t caught;
static sigset_t before;
static bool catching;

static void note(int number)
{
    caught = number;
}

static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};

void await_catch_signals(void)
{
    struct sigaction old, action = {.sa_handler = note};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(stopping) / sizeof(stopping[0]); i++) {
        sigaddset(&set, stopping[i]);
        sigaction(stopping[i], NULL, &old);
        if (old.sa_handler != SIG_IGN) /* as under nohup(1) */
            sigaction(stopping[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &set, &before);
    catching = true;
}

void await_die_of_signal(void)
{
    int number = caught;
    if (number == 0)
        return;
    output_finish();
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Return how long to sleep, at most `most_ms` (negative: any time), as poll(2) has it. */
static int sleep_ms(const struct await *await, int most_ms)
{
    if (await->until_ns == INT64_MAX)
        return most_ms;
    int64_t left_ms = (await->until_ns - clock_boottime_ns() + NS_PER_MS - 1) / NS_PER_MS;
    left_ms = left_ms < 0 ? 0 : left_ms > INT32_MAX ? INT32_MAX : left_ms;
    return most_ms >= 0 && most_ms < left_ms ? most_ms : (int)left_ms;
}

/* Sleep until the file changes. 0, or AWAIT_TIMEOUT or AWAIT_STOPPED. */
static int sleep_on(const struct await *await, int fd, int most_ms)
{
    struct pollfd file = {.fd = fd, .events = POLLPRI};
    int ms = sleep_ms(await, most_ms);
    struct timespec time = {ms / 1000, ms % 1000 * NS_PER_MS};
    if (ms == 0)
        return AWAIT_TIMEOUT;
    int n = ppoll(&file, 1, ms < 0 ? NULL : &time, catching ? &before : NULL);
    if (caught)
        return AWAIT_STOPPED;
    return n == 0 && sleep_ms(await, most_ms) == 0 ? AWAIT_TIMEOUT : 0;
}

/* Find the tree again, which must have the same path: ids mean other partitions elsewhere. 0, an
 * await_result, or -errno after MISSING_NS. */
static int find_again(const struct await *await)
{
    int64_t began_ns = clock_boottime_ns(), missing_ns = 0;
    bool told = false;
    int r = -ENOTCONN;
    while (r < 0 && missing_ns < MISSING_NS) {
        struct chronos_mount found;
        char failed[PATH_MAX];
        r = chronos_mount_open(await->wanted, failed, &found);
        if (!r) {
            bool same = strcmp(found.path, await->mount->path) == 0;
            if (same && dup3(found.root, await->mount->root, O_CLOEXEC) < 0)
                r = -errno;
            chronos_mount_close(&found);
            if (same)
                return r;
            r = -ENOENT;
        }
        missing_ns = clock_boottime_ns() - began_ns;
        if (missing_ns >= QUIET_NS && !told)
            output_message("The chronosfs on %s does not answer; waiting for it to come back.",
                           await->mount->path);
        told = told || missing_ns >= QUIET_NS;
        int stopped = sleep_on(await, -1, LOOK_MS);
        if (stopped)
            return stopped;
    }
    return -ENOTCONN;
}

/* Look at the state until it is the one waited for. 0: open the file again. */
static int follow(const struct await *await, int fd)
{
    for (;;) {
        char state[32];
        ssize_t length = pread(fd, state, sizeof(state) - 1, 0);
        int r = length < 0 ? -errno : 0;
        if (chronos_is_gone(r))
            return await->end ? AWAIT_REACHED : AWAIT_ENDED;
        if (r)
            return r;
        state[length] = '\0';
        bool waits = strncmp(state, "pending", 7) == 0 || strncmp(state, "suspended", 9) == 0;
        if (!await->end && !waits)
            return AWAIT_REACHED;
        struct pollfd file = {.fd = fd, .events = POLLPRI | POLLIN};
        bool unpolled = poll(&file, 1, 0) > 0 && (file.revents & (POLLPRI | POLLERR)) == 0;
        r = sleep_on(await, unpolled ? -1 : fd, unpolled ? UNPOLLED_MS : -1);
        if (r || unpolled)
            return r;
    }
}

int await(const struct await *await)
{
    char path[64];
    snprintf(path, sizeof(path), "partitions/%s/state", await->id);
    for (;;) {
        int fd = chronos_open(await->mount->root, path, O_RDONLY);
        int r = fd < 0 ? fd : follow(await, fd);
        fd_close(fd);
        if (chronos_is_gone(r))
            return await->end ? AWAIT_REACHED : AWAIT_ENDED;
        if (r == -ENOTCONN || r == -ECONNABORTED)
            r = find_again(await);
        if (r)
            return r;
    }
}

void await_report(const struct chronos_mount *mount, const char *id)
{
    char path[64], text[512], when[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s/reason", id);
    if (chronos_read(mount->root, path, text, sizeof(text)) == 0 && text[0] != '\0') {
        chronos_clean(text);
        output_message("%s", text);
        return;
    }
    snprintf(path, sizeof(path), "partitions/%s/start", id);
    if (chronos_read(mount->root, path, text, sizeof(text)) < 0)
        return;
    chronos_clean(text);
    output_time_text(text, when, sizeof(when));
    output_message("%s waits; it starts at %s.", id, when);
}

void await_report_ended(const struct chronos_mount *mount, const char *id)
{
    struct chronos_line line = {.count = 0};
    bool found = ended_find(mount, id, &line);
    char words[CHRONOS_VALUE_MAX * 2];
    ended_words(&line, words, sizeof(words));
    if (found)
        output_message("%s ended before it started: it %s.", id, words);
    else
        output_message("%s ended before it started.", id);
}

bool await_parse_time(const char *text, int64_t *ret_ns)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t all = 0;
    size_t unit = 0, digits;
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text += digits + (text[digits] != '\0')) {
        int64_t number = 0;
        digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 9)
            return false;
        for (size_t i = 0; i < digits; i++)
            number = number * 10 + (text[i] - '0');
        while (unit < 4 && units[unit].letter != (text[digits] == '\0' ? 's' : text[digits]))
            unit++;
        if (unit == 4)
            return false;
        all += number * units[unit++].seconds;
    }
    if (all > INT64_MAX / NS_PER_SECOND / 2)
        return false;
    *ret_ns = all * NS_PER_SECOND;
    return true;
}
