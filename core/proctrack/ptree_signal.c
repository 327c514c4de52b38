/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals to the members that the process-tree adapter knows. Each goes through a
 * descriptor of the process, after its start time was compared.
 */
#include "ptree.h"

#include "core/base/pidfd.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

int ptree_send(const struct ptree *ptree, const struct ptree_record *record, int signo)
{
    tree_step(ptree, "signal");
    int rc = -ESRCH, pidfd = pidfd_open((pid_t)record->pid, 0);
    if (pidfd < 0)
        return -errno;
    if (ptree_lives(ptree, record, NULL))
        rc = pidfd_send(pidfd, signo);
    close(pidfd);
    return rc;
}

/* What was sent, and what came of it. */
struct sending {
    uint32_t sent, refused, running;
};

/* How often to look whether all stand still before those are left alone that cannot be
 * seen to: in state D they stop when they come back, but until then a fork may be under
 * way; and one whose first thread has ended is shown as a zombie whatever it does. */
#define ROUNDS_HIDDEN 20
#define ROUNDS_FREEZE INT_MAX
#define ROUNDS_EPERM  10 /* the same for those we may not stop */

static int result(const struct sending *sending)
{
    return sending->refused > 0 && sending->sent == 0 ? -EPERM : 0;
}

static void send_to(const struct ptree *ptree, const struct ptree_record *record, int signo,
                    struct sending *sending)
{
    int rc = ptree_send(ptree, record, signo);
    sending->sent += rc == 0;
    sending->refused += rc == -EPERM;
}

static void send_all(const struct ptree *ptree, uint64_t id, int signo, struct sending *sending)
{
    for (size_t i = 0; i < ptree->file.count; i++) {
        if (ptree->file.records[i].id == id)
            send_to(ptree, &ptree->file.records[i], signo, sending);
    }
}

static bool was_told(const struct ptree_record *told, size_t count,
                     const struct ptree_record *record)
{
    for (size_t i = 0; i < count; i++) {
        if (told[i].pid == record->pid && told[i].start == record->start)
            return true;
    }
    return false;
}

/* Who was born between the scan and the signals is told too; who was born later may be
 * what a member starts in answer to the signal. */
int ptree_signal(struct proctrack *proctrack, uint64_t id, int signo, uint32_t *ret_count)
{
    struct ptree *ptree = (struct ptree *)proctrack;
    struct sending sending = {.sent = 0};
    size_t count = 0;
    int rc = ptree_scan(ptree);
    struct ptree_record *told = calloc(ptree->file.count + 1, sizeof(*told));
    if (rc != 0 || told == NULL) {
        free(told);
        return rc != 0 ? rc : -ENOMEM;
    }
    tree_step(ptree, "scanned");
    uint64_t begun = procfs_ticks();
    for (size_t i = 0; i < ptree->file.count; i++) {
        if (ptree->file.records[i].id != id)
            continue;
        told[count++] = ptree->file.records[i];
        send_to(ptree, &ptree->file.records[i], signo, &sending);
    }
    tree_step(ptree, "signalled");
    if (count > 0)
        rc = ptree_scan(ptree);
    for (size_t i = 0; rc == 0 && count > 0 && i < ptree->file.count; i++) {
        const struct ptree_record *record = &ptree->file.records[i];
        if (record->id == id && record->start < begun && !was_told(told, count, record))
            send_to(ptree, record, signo, &sending);
    }
    free(told);
    *ret_count = sending.sent;
    return rc != 0 ? rc : result(&sending);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void stop_running(struct ptree *ptree, uint64_t id, int round, int rounds_d,
                         struct sending *sending)
{
    struct procfs_stat stat;
    for (size_t i = 0; i < ptree->file.count; i++) {
        struct ptree_record *record = &ptree->file.records[i];
        if (record->id != id || !ptree_lives(ptree, record, &stat) || stat.state == 'T' ||
            stat.state == 't')
            continue;
        send_to(ptree, record, SIGSTOP, sending);
        int rounds = stat.state == 'D' ? rounds_d : stat.state == 'Z' ? ROUNDS_HIDDEN : INT_MAX;
        sending->running += round < rounds;
    }
}

/* Until all members stand still, so that none has a child that was not seen. */
static int stop_all(struct ptree *ptree, uint64_t id, int rounds_d, struct sending *sending)
{
    int64_t until_ms = now_ms() + PROCTRACK_WAIT_MS;
    for (int round = 0;; round++) {
        sending->running = 0;
        int rc = ptree_scan(ptree);
        if (rc != 0)
            return rc;
        stop_running(ptree, id, round, rounds_d, sending);
        if (sending->running == 0 || (sending->refused > 0 && round >= ROUNDS_EPERM))
            return 0;
        if (now_ms() >= until_ms)
            return -EBUSY;
        if (round > 0)
            usleep(1000);
    }
}

/* Killing a parent first would take its unseen children out of sight. */
int ptree_kill(struct proctrack *proctrack, uint64_t id)
{
    struct ptree *ptree = (struct ptree *)proctrack;
    struct sending sending = {.sent = 0};
    int stopped = stop_all(ptree, id, ROUNDS_HIDDEN, &sending);
    sending.sent = sending.refused = 0;
    tree_step(ptree, "kill");
    send_all(ptree, id, SIGKILL, &sending);
    int rc = result(&sending);
    return rc != 0 ? rc : stopped == -EBUSY ? -EAGAIN : stopped;
}

int ptree_freeze(struct proctrack *proctrack, uint64_t id, bool frozen)
{
    struct ptree *ptree = (struct ptree *)proctrack;
    struct sending sending = {.sent = 0};
    int rc = ptree_scan(ptree);
    for (size_t i = 0; rc == 0 && i < ptree->file.count; i++) {
        struct ptree_record record = ptree->file.records[i];
        if (record.id != id || (record.frozen != 0) == frozen)
            continue;
        record.frozen = frozen;
        rc = ptree_record_set(&ptree->file, &record);
    }
    if (rc != 0)
        return rc;
    if (!frozen)
        send_all(ptree, id, SIGCONT, &sending);
    else
        rc = stop_all(ptree, id, ROUNDS_FREEZE, &sending);
    return result(&sending) != 0 ? result(&sending) : rc;
}
