/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See charge.h. The protocol is one write a line, "+N\n" or "-N\n". What a descriptor
 * has booked is given back when its last copy closes; so the kernel cleans up after
 * a program that dies, and a forked child has to let go of the copy it inherits.
 */
#include "charge.h"

#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct charge {
    struct charge *next; /* in `charges` */
    pthread_mutex_t lock;
    char *directory, *path;
    bool allow_unreachable;
    bool ended;          /* for ever: a partition's name never comes again */
    pid_t owner;         /* the process that the rest is about */
    uint64_t held_bytes; /* what this process has, booked or taken down */
    int fd;              /* has held_bytes booked; -1: not open */
    struct statx file;   /* what fd is, to see whether it still is */
};

/* All clients of the process, because fork has to stop them all: a lock that
 * another thread holds would stay held in the child. */
static pthread_mutex_t charges_lock = PTHREAD_MUTEX_INITIALIZER;
static struct charge *charges;

/* -- the descriptor --------------------------------------------------------------- */

/* Answered from what the kernel remembers: no request to the filesystem. */
static bool identify(int fd, struct statx *ret_file)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_TYPE, ret_file) == 0;
}

/* Programs close what they do not know and open something else: the number alone
 * does not tell that it still is our file. */
static bool is_open(const struct charge *charge)
{
    struct statx now;
    return charge->fd >= 0 && identify(charge->fd, &now) && now.stx_ino == charge->file.stx_ino &&
           now.stx_dev_major == charge->file.stx_dev_major &&
           now.stx_dev_minor == charge->file.stx_dev_minor;
}

static void let_go(struct charge *charge)
{
    if (is_open(charge))
        close(charge->fd);
    charge->fd = -1;
}

/* One line; 0 or -errno. Not through write(), which is a place where a thread may
 * be cancelled, and would be with the lock held. */
static int say(const struct charge *charge, char sign, uint64_t bytes)
{
    char line[32];
    size_t length =
        (size_t)snprintf(line, sizeof(line), "%c%llu\n", sign, (unsigned long long)bytes);
    long wrote;
    do {
        wrote = syscall(SYS_write, charge->fd, line, length);
    } while (wrote < 0 && errno == EINTR);
    if (wrote == (long)length)
        return 0;
    return wrote < 0 ? -errno : -EIO;
}

static int close_for_ever(struct charge *charge)
{
    charge->ended = true;
    let_go(charge);
    return CHARGE_CLOSED;
}

/* What an error means; the descriptor is kept only where it can be used again. */
static int refusal(struct charge *charge, int rc)
{
    switch (rc) {
    case -ENOSPC:
    case -EDQUOT:
        return CHARGE_FULL;
    case -ETIMEDOUT:
    case -ENODEV:
        return close_for_ever(charge);
    case -EPERM:
    case -EACCES:
    case -EBUSY:
    case -EAGAIN:
        return CHARGE_CLOSED;
    default:
        let_go(charge);
        return inside_has_ended(charge->directory) ? close_for_ever(charge) : CHARGE_UNREACHABLE;
    }
}

/* Has the file open with everything booked that is held. 0 or a refusal. */
static int attach(struct charge *charge)
{
    if (is_open(charge))
        return 0;
    charge->fd = charge->path[0] == '/' ? open(charge->path, O_WRONLY | O_CLOEXEC | O_NOCTTY) : -1;
    if (charge->fd < 0)
        return refusal(charge, charge->path[0] == '/' ? -errno : -ENOENT);
    int rc = identify(charge->fd, &charge->file) ? 0 : -errno;
    if (rc == 0 && charge->held_bytes > 0)
        rc = say(charge, '+', charge->held_bytes);
    if (rc == 0)
        return 0;
    rc = refusal(charge, rc);
    let_go(charge); /* also when full: an open one has everything booked */
    return rc;
}

/* -- fork -------------------------------------------------------------------------- */

static void start_anew(struct charge *charge)
{
    let_go(charge); /* else the parent's memory stays booked until we end */
    charge->held_bytes = 0;
    charge->owner = getpid();
}

/* With the lock held. A child that was made without the fork handlers is seen here. */
static void notice_fork(struct charge *charge)
{
    if (charge->owner != getpid())
        start_anew(charge);
}

static void before_fork(void)
{
    pthread_mutex_lock(&charges_lock);
    for (struct charge *charge = charges; charge != NULL; charge = charge->next)
        pthread_mutex_lock(&charge->lock);
}

static void after_fork(void)
{
    for (struct charge *charge = charges; charge != NULL; charge = charge->next)
        pthread_mutex_unlock(&charge->lock);
    pthread_mutex_unlock(&charges_lock);
}

static void in_child(void)
{
    for (struct charge *charge = charges; charge != NULL; charge = charge->next)
        start_anew(charge);
    after_fork();
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, in_child);
}

/* -- the calls --------------------------------------------------------------------- */

int charge_new(const char *directory, bool allow_unreachable, struct charge **ret_charge)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct charge *charge = calloc(1, sizeof(*charge));

    if (charge == NULL)
        return -ENOMEM;
    pthread_once(&once, watch_forks);
    charge->directory = strdup(directory);
    if (charge->directory == NULL || asprintf(&charge->path, "%s/charge", directory) < 0) {
        free(charge->directory);
        free(charge);
        return -ENOMEM;
    }
    charge->allow_unreachable = allow_unreachable;
    charge->owner = getpid();
    charge->fd = -1;
    pthread_mutex_init(&charge->lock, NULL);
    pthread_mutex_lock(&charges_lock);
    charge->next = charges;
    charges = charge;
    pthread_mutex_unlock(&charges_lock);
    *ret_charge = charge;
    return 0;
}

struct charge *charge_free(struct charge *charge)
{
    if (charge == NULL)
        return NULL;
    pthread_mutex_lock(&charges_lock);
    struct charge **at = &charges;
    while (*at != charge)
        at = &(*at)->next;
    *at = charge->next;
    pthread_mutex_unlock(&charges_lock);
    let_go(charge);
    pthread_mutex_destroy(&charge->lock);
    free(charge->directory);
    free(charge->path);
    free(charge);
    return NULL;
}

static int book(struct charge *charge, uint64_t bytes)
{
    int rc = CHARGE_UNREACHABLE;
    if (charge->ended)
        return CHARGE_CLOSED;
    /* Twice: a daemon that was started again is a new file, which is there at once. */
    for (int attempt = 0; attempt < 2 && rc == CHARGE_UNREACHABLE; attempt++) {
        rc = attach(charge);
        if (rc == 0) {
            rc = say(charge, '+', bytes);
            rc = rc == 0 ? 0 : refusal(charge, rc);
        }
    }
    return rc == CHARGE_UNREACHABLE && charge->allow_unreachable ? 0 : rc;
}

int charge_book(struct charge *charge, uint64_t bytes, pid_t *ret_owner)
{
    int rc = 0;
    pthread_mutex_lock(&charge->lock);
    notice_fork(charge);
    if (bytes > INT64_MAX || charge->held_bytes > INT64_MAX - bytes)
        rc = CHARGE_FULL; /* more than any device has; the sum stays a number */
    else if (bytes > 0)
        rc = book(charge, bytes);
    if (rc == 0) {
        charge->held_bytes += bytes;
        *ret_owner = charge->owner;
    }
    pthread_mutex_unlock(&charge->lock);
    return rc;
}

void charge_give_back(struct charge *charge, uint64_t bytes, pid_t owner)
{
    pthread_mutex_lock(&charge->lock);
    notice_fork(charge);
    if (owner == charge->owner && bytes > 0 && bytes <= charge->held_bytes) {
        bool booked = is_open(charge);
        charge->held_bytes -= bytes;
        int rc = booked ? say(charge, '-', bytes) : 0;
        if (rc < 0)
            refusal(charge, rc);
        /* What is left is booked again as soon as the filesystem is back. */
        if (!charge->ended && charge->held_bytes > 0)
            attach(charge);
    }
    pthread_mutex_unlock(&charge->lock);
}
