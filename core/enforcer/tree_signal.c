/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals to the members that the process-tree adapter knows. Each goes through a
 * descriptor of the process, after its start time was compared.
 */
#include "tree.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

int tree_send(const struct tree *tree, const struct tree_record *record, int signo)
{
    tree_step(tree, "signal");
    int rc = -ESRCH, pidfd = pidfd_open((pid_t)record->pid, 0);
    if (pidfd < 0)
        return -errno;
    if (tree_lives(tree, record, NULL))
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

static void send_to(const struct tree *tree, const struct tree_record *record, int signo,
                    struct sending *sending)
{
    int rc = tree_send(tree, record, signo);
    sending->sent += rc == 0;
    sending->refused += rc == -EPERM;
}

static void send_all(const struct tree *tree, uint64_t id, int signo, struct sending *sending)
{
    for (size_t i = 0; i < tree->file.count; i++) {
        if (tree->file.records[i].id == id)
            send_to(tree, &tree->file.records[i], signo, sending);
    }
}

static bool was_told(const struct tree_record *told, size_t count, const struct tree_record *record)
{
    for (size_t i = 0; i < count; i++) {
        if (told[i].pid == record->pid && told[i].start == record->start)
            return true;
    }
    return false;
}

/* Who was born between the scan and the signals is told too; who was born later may be
 * what a member starts in answer to the signal. */
int tree_signal(struct enforcer *enforcer, uint64_t id, int signo, uint32_t *ret_count)
{
    struct tree *tree = (struct tree *)enforcer;
    struct sending sending = {.sent = 0};
    size_t count = 0;
    int rc = tree_scan(tree);
    struct tree_record *told = calloc(tree->file.count + 1, sizeof(*told));
    if (rc != 0 || told == NULL) {
        free(told);
        return rc != 0 ? rc : -ENOMEM;
    }
    tree_step(tree, "scanned");
    uint64_t begun = proc_ticks();
    for (size_t i = 0; i < tree->file.count; i++) {
        if (tree->file.records[i].id != id)
            continue;
        told[count++] = tree->file.records[i];
        send_to(tree, &tree->file.records[i], signo, &sending);
    }
    tree_step(tree, "signalled");
    if (count > 0)
        rc = tree_scan(tree);
    for (size_t i = 0; rc == 0 && count > 0 && i < tree->file.count; i++) {
        const struct tree_record *record = &tree->file.records[i];
        if (record->id == id && record->start < begun && !was_told(told, count, record))
            send_to(tree, record, signo, &sending);
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

static void stop_running(struct tree *tree, uint64_t id, int round, int rounds_d,
                         struct sending *sending)
{
    struct proc_stat stat;
    for (size_t i = 0; i < tree->file.count; i++) {
        struct tree_record *record = &tree->file.records[i];
        if (record->id != id || !tree_lives(tree, record, &stat) || stat.state == 'T' ||
            stat.state == 't')
            continue;
        send_to(tree, record, SIGSTOP, sending);
        int rounds = stat.state == 'D' ? rounds_d : stat.state == 'Z' ? ROUNDS_HIDDEN : INT_MAX;
        sending->running += round < rounds;
    }
}

/* Until all members stand still, so that none has a child that was not seen. */
static int stop_all(struct tree *tree, uint64_t id, int rounds_d, struct sending *sending)
{
    int64_t until_ms = now_ms() + ENFORCER_WAIT_MS;
    for (int round = 0;; round++) {
        sending->running = 0;
        int rc = tree_scan(tree);
        if (rc != 0)
            return rc;
        stop_running(tree, id, round, rounds_d, sending);
        if (sending->running == 0 || (sending->refused > 0 && round >= ROUNDS_EPERM))
            return 0;
        if (now_ms() >= until_ms)
            return -EBUSY;
        if (round > 0)
            usleep(1000);
    }
}

/* Killing a parent first would take its unseen children out of sight. */
int tree_kill(struct enforcer *enforcer, uint64_t id)
{
    struct tree *tree = (struct tree *)enforcer;
    struct sending sending = {.sent = 0};
    int stopped = stop_all(tree, id, ROUNDS_HIDDEN, &sending);
    sending.sent = sending.refused = 0;
    tree_step(tree, "kill");
    send_all(tree, id, SIGKILL, &sending);
    int rc = result(&sending);
    return rc != 0 ? rc : stopped == -EBUSY ? -EAGAIN : stopped;
}

int tree_freeze(struct enforcer *enforcer, uint64_t id, bool frozen)
{
    struct tree *tree = (struct tree *)enforcer;
    struct sending sending = {.sent = 0};
    int rc = tree_scan(tree);
    for (size_t i = 0; rc == 0 && i < tree->file.count; i++) {
        struct tree_record record = tree->file.records[i];
        if (record.id != id || (record.frozen != 0) == frozen)
            continue;
        record.frozen = frozen;
        rc = tree_record_set(&tree->file, &record);
    }
    if (rc != 0)
        return rc;
    if (!frozen)
        send_all(tree, id, SIGCONT, &sending);
    else
        rc = stop_all(tree, id, ROUNDS_FREEZE, &sending);
    return result(&sending) != 0 ? result(&sending) : rc;
}
