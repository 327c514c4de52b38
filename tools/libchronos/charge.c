/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the file `charge`; see client.h. The protocol is one line per write, "+N gpu1\n" or
 * "-N gpu1\n", the device as the directory names it. Closing the last copy of a descriptor releases
 * what it charged. So the kernel cleans up after a program that dies, and a forked child has to
 * close the copy that it inherits.
 */
#include "client.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_TRIES 30000 /* of 20 ms: 10 minutes */

struct chronos_charge {
    struct chronos_charge *next; /* in `charges` */
    pthread_mutex_t lock;
    char *directory, *path;
    bool allow_unreachable;
    bool ended;              /* permanent: partition names are never reused */
    pid_t owner;             /* the process that the members below belong to; 0: a parent */
    unsigned marks;          /* CHRONOS_MARK_IPC and so on */
    uint64_t held_bytes;     /* held by this process, charged or only counted here */
    int fd;                  /* has charged held_bytes; -1: not open */
    struct fd_identity file; /* of fd */
};

/* All clients of the process: fork has to lock them all, because a lock held by another thread
 * would stay locked in the child. */
static pthread_mutex_t charges_lock = PTHREAD_MUTEX_INITIALIZER;
static struct chronos_charge *charges;

/* The locks that this thread holds or is about to hold. A signal handler may fork in the middle of
 * a call, and must not wait then for its own thread, nor for one that waits for it. */
static __thread volatile unsigned locks_held;

static void lock(pthread_mutex_t *mutex)
{
    locks_held++;
    pthread_mutex_lock(mutex);
}

static void unlock(pthread_mutex_t *mutex)
{
    pthread_mutex_unlock(mutex);
    locks_held--;
}

bool chronos_charge_is_inside(void)
{
    return locks_held > 0;
}

/* -- the descriptor --------------------------------------------------------------- */

/* Check the file too, not only the number: programs close descriptors that they do not know and
 * open other files. */
static bool is_open(const struct chronos_charge *charge)
{
    struct fd_identity now;
    return charge->fd >= 0 && !fd_identify(charge->fd, "", &now) &&
           now.inode == charge->file.inode && now.device == charge->file.device;
}

static void let_go(struct chronos_charge *charge)
{
    if (is_open(charge))
        close(charge->fd);
    charge->fd = -1;
}

/* Wait before asking again: the partition is being suspended, and this process stops in a moment;
 * or the daemon is flooded. False: long enough. */
static bool waits(int *tries)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    if (++*tries > WAIT_TRIES)
        return false;
    syscall(SYS_nanosleep, &pause, NULL); /* as below */
    return true;
}

/* Write one line; 0 or -errno. Do not use write(): it is a cancellation point, where the thread
 * could end with the lock held. */
static int send_line(const struct chronos_charge *charge, char sign, uint64_t bytes)
{
    char line[48];
    const char *device = "";
    size_t of = chronos_device_in(charge->directory, &device);
    size_t length = (size_t)snprintf(line, sizeof(line), "%c%llu%s%.*s\n", sign,
                                     (unsigned long long)bytes, of ? " " : "", (int)of, device);
    long wrote;
    int tries = 0;
    do {
        wrote = syscall(SYS_write, charge->fd, line, length);
    } while (wrote < 0 && (errno == EINTR || (errno == EAGAIN && waits(&tries))));
    if (wrote == (long)length)
        return 0;
    return wrote < 0 ? -errno : -EIO;
}

/* Marks are for the daemon alone: one that does not know them refuses them. */
static void send_marks(const struct chronos_charge *charge, unsigned marks)
{
    static const char *const lines[] = {"mark ipc\n", "mark managed\n", "mark multicast\n"};
    for (unsigned i = 0; i < 3; i++)
        if (marks & 1u << i)
            (void)!syscall(SYS_write, charge->fd, lines[i], strlen(lines[i]));
}

static int close_for_good(struct chronos_charge *charge)
{
    charge->ended = true;
    let_go(charge);
    return CHRONOS_CLOSED;
}

/* Map an error to a refusal. Keep the descriptor only if it can be used again. */
static int refusal(struct chronos_charge *charge, int r)
{
    switch (r) {
    case -ENOSPC:
    case -EDQUOT:
        return CHRONOS_FULL;
    case -ETIMEDOUT:
    case -ENODEV:
        return close_for_good(charge);
    case -EPERM:
    case -EACCES:
    case -EBUSY:
    case -EAGAIN:
        return CHRONOS_CLOSED;
    default:
        let_go(charge);
        return chronos_has_ended(charge->directory) ? close_for_good(charge) : CHRONOS_UNREACHABLE;
    }
}

/* Open the file if needed, and charge everything held. 0 or a refusal. */
static int attach(struct chronos_charge *charge)
{
    if (is_open(charge))
        return 0;
    /* Do not wait for a lease on the file. */
    const int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = charge->path[0] == '/' ? open(charge->path, flags) : -1;
    int r = fd < 0 ? (charge->path[0] == '/' ? -errno : -ENOENT) : 0;
    charge->fd = fd < 0 ? -1 : fd_above_streams(fd);
    if (charge->fd < 0)
        return refusal(charge, r ? r : charge->fd);
    r = fd_identify(charge->fd, "", &charge->file);
    if (!r) /* also 0: the first line says what is held already */
        r = send_line(charge, '+', charge->held_bytes);
    if (!r)
        send_marks(charge, charge->marks);
    if (!r)
        return 0;
    r = refusal(charge, r);
    let_go(charge); /* even when full: an open descriptor has charged everything */
    return r;
}

/* -- fork -------------------------------------------------------------------------- */

static void reset(struct chronos_charge *charge)
{
    let_go(charge); /* else the parent's bytes stay charged until this process ends */
    charge->held_bytes = 0;
    charge->marks = 0;
    charge->owner = getpid();
}

/* Detect children made without the fork handlers. Call with the lock held. */
static void notice_fork(struct chronos_charge *charge)
{
    if (charge->owner != getpid())
        reset(charge);
}

static void before_fork(void)
{
    if (locks_held++ > 0)
        return;
    pthread_mutex_lock(&charges_lock);
    for (struct chronos_charge *charge = charges; charge; charge = charge->next)
        pthread_mutex_lock(&charge->lock);
}

static void after_fork(void)
{
    if (locks_held == 1) {
        for (struct chronos_charge *charge = charges; charge; charge = charge->next)
            pthread_mutex_unlock(&charge->lock);
        pthread_mutex_unlock(&charges_lock);
    }
    locks_held--;
}

/* In the middle of a call, which ends in the child too: let it begin again there. */
static void interrupt(struct chronos_charge *charge)
{
    let_go(charge);
    charge->owner = 0;
}

static void in_child(void)
{
    for (struct chronos_charge *charge = charges; charge; charge = charge->next) {
        if (locks_held == 1)
            reset(charge);
        else
            interrupt(charge);
    }
    after_fork();
}

/* Once. pthread_once would need a C library of 2021, and this is loaded into programs. The lock is
 * one of its own: fork holds libc's lock of handlers as it calls ours. */
static void watch_forks(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool watched;
    pthread_mutex_lock(&lock);
    if (!watched)
        watched = pthread_atfork(before_fork, after_fork, in_child) == 0;
    pthread_mutex_unlock(&lock);
}

/* -- calls ------------------------------------------------------------------------- */

int chronos_charge_new(const char *directory, bool allow_unreachable,
                       struct chronos_charge **ret_charge)
{
    struct chronos_charge *charge = calloc(1, sizeof(*charge));
    if (!charge)
        return -ENOMEM;
    watch_forks();
    charge->directory = strdup(directory);
    if (!charge->directory || asprintf(&charge->path, "%s/charge", directory) < 0) {
        free(charge->directory);
        free(charge);
        return -ENOMEM;
    }
    charge->allow_unreachable = allow_unreachable;
    charge->owner = getpid();
    charge->fd = -1;
    pthread_mutex_init(&charge->lock, NULL);
    lock(&charges_lock);
    charge->next = charges;
    charges = charge;
    unlock(&charges_lock);
    *ret_charge = charge;
    return 0;
}

struct chronos_charge *chronos_charge_free(struct chronos_charge *charge)
{
    if (!charge)
        return NULL;
    lock(&charges_lock);
    struct chronos_charge **at = &charges;
    while (*at != charge)
        at = &(*at)->next;
    *at = charge->next;
    unlock(&charges_lock);
    let_go(charge);
    pthread_mutex_destroy(&charge->lock);
    free(charge->directory);
    free(charge->path);
    free(charge);
    return NULL;
}

static int book(struct chronos_charge *charge, uint64_t bytes)
{
    int r = CHRONOS_UNREACHABLE;
    if (charge->ended)
        return CHRONOS_CLOSED;
    /* Try twice: after a restart of the daemon a new file is available at once. */
    for (int attempt = 0; attempt < 2 && r == CHRONOS_UNREACHABLE; attempt++) {
        r = attach(charge);
        if (!r) {
            r = send_line(charge, '+', bytes);
            r = r ? refusal(charge, r) : 0;
        }
    }
    return r == CHRONOS_UNREACHABLE && charge->allow_unreachable ? 0 : r;
}

/* Charge what may be nothing. 0 or a refusal. */
static int try_book(struct chronos_charge *charge, uint64_t bytes)
{
    int r = 0;
    if (bytes > INT64_MAX || charge->held_bytes > INT64_MAX - bytes)
        r = CHRONOS_FULL; /* more than any device has; prevents overflow of the sum */
    else if (bytes > 0)
        r = book(charge, bytes);
    else if (!charge->ended)
        attach(charge);
    return r;
}

int chronos_charge_book(struct chronos_charge *charge, uint64_t bytes, pid_t *ret_owner)
{
    int r;
    lock(&charge->lock);
    do {
        notice_fork(charge);
        r = try_book(charge, bytes);
    } while (charge->owner == 0);
    if (!r) {
        charge->held_bytes += bytes;
        *ret_owner = charge->owner;
    }
    unlock(&charge->lock);
    return r;
}

void chronos_charge_mark(struct chronos_charge *charge, unsigned mark)
{
    lock(&charge->lock);
    notice_fork(charge);
    bool known = (charge->marks & mark) == mark;
    charge->marks |= mark;
    if (!known && is_open(charge))
        send_marks(charge, mark);
    else if (!known && !charge->ended)
        attach(charge); /* with all marks */
    unlock(&charge->lock);
}

void chronos_charge_give_back(struct chronos_charge *charge, uint64_t bytes, pid_t owner)
{
    lock(&charge->lock);
    notice_fork(charge);
    if (owner == charge->owner && bytes > 0 && bytes <= charge->held_bytes) {
        bool booked = is_open(charge);
        charge->held_bytes -= bytes;
        int r = booked ? send_line(charge, '-', bytes) : 0;
        if (r < 0)
            refusal(charge, r);
        /* Charge the rest again as soon as the filesystem is back. */
        if (!charge->ended && charge->held_bytes > 0)
            attach(charge);
    }
    unlock(&charge->lock);
}
