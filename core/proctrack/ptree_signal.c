/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Send signals to the members that the process-tree adapter knows. Each is sent through a pidfd,
 * after comparing the start time.
 */
#include "ptree.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* The outcome of sending. */
struct sending {
    uint32_t sent, refused, running;
};

static int result(const struct sending *sending)
{
    return sending->refused > 0 && sending->sent == 0 ? -EPERM : 0;
}

static void send_to(const struct ptree *ptree, const struct ptree_record *record, int signo,
                    struct sending *sending)
{
    int r = ptree_scan_send(ptree, record, signo);
    sending->sent += !r;
    sending->refused += r == -EPERM;
}

static void send_all(const struct ptree *ptree, uint64_t id, int signo, struct sending *sending)
{
    for (size_t i = 0; i < ptree->file.count; i++) {
        if (proctrack_set_has(&ptree->file.records[i].in, id))
            send_to(ptree, &ptree->file.records[i], signo, sending);
    }
}

static bool was_sent(const struct ptree_record *sent_to, size_t count,
                     const struct ptree_record *record)
{
    for (size_t i = 0; i < count; i++) {
        if (sent_to[i].pid == record->pid && sent_to[i].start == record->start)
            return true;
    }
    return false;
}

/* Also signal processes born between the scan and the signals. Later ones may have been started by
 * a member in response to the signal. */
int ptree_signal(struct proctrack *proctrack, uint64_t id, int signo, bool now, uint32_t *ret_count)
{
    (void)now; /* needs no stop first */
    struct ptree *ptree = (struct ptree *)proctrack;
    struct sending sending = {.sent = 0};
    size_t count = 0;
    int r = ptree_scan(ptree);
    struct ptree_record *sent_to = calloc(ptree->file.count + 1, sizeof(*sent_to));
    if (r || !sent_to) {
        free(sent_to);
        return r ? r : -ENOMEM;
    }
    steps_before(&ptree->steps, "scanned");
    uint64_t begun = procfs_ticks();
    for (size_t i = 0; i < ptree->file.count; i++) {
        if (!proctrack_set_has(&ptree->file.records[i].in, id))
            continue;
        sent_to[count++] = ptree->file.records[i];
        send_to(ptree, &ptree->file.records[i], signo, &sending);
    }
    steps_before(&ptree->steps, "signalled");
    if (count > 0)
        r = ptree_scan(ptree);
    for (size_t i = 0; !r && count > 0 && i < ptree->file.count; i++) {
        const struct ptree_record *record = &ptree->file.records[i];
        if (proctrack_set_has(&record->in, id) && record->start < begun &&
            !was_sent(sent_to, count, record))
            send_to(ptree, record, signo, &sending);
    }
    free(sent_to);
    *ret_count = sending.sent;
    return r ? r : result(&sending);
}

/* Rounds in one call: the first stops members, the next finds them stopped, or children that they
 * had in between. */
#define ROUNDS 3

/* Stop members that run. One in state D may have a fork in progress until it stops; one whose first
 * thread has ended always appears as a zombie. */
static void stop_running(struct ptree *ptree, uint64_t id, struct sending *sending)
{
    struct procfs_stat stat;
    for (size_t i = 0; i < ptree->file.count; i++) {
        struct ptree_record *record = &ptree->file.records[i];
        if (!proctrack_set_has(&record->in, id))
            continue;
        int r = ptree_scan_look(ptree, record, &stat);
        if (r == -ESRCH || (!r && (stat.state == 'T' || stat.state == 't')))
            continue;
        r = ptree_scan_send(ptree, record, SIGSTOP);
        sending->sent += !r;
        sending->refused += r == -EPERM;
        sending->running += r != -EPERM;
    }
}

/* Return -EBUSY while members run: one could have an unseen child. */
static int stop_all(struct ptree *ptree, uint64_t id, struct sending *sending)
{
    for (int round = 0; round < ROUNDS; round++) {
        sending->running = 0;
        int r = ptree_scan(ptree);
        if (r)
            return r;
        stop_running(ptree, id, sending);
        if (sending->running == 0)
            return 0;
    }
    return -EBUSY;
}

/* Stop first: killing a parent would make its unseen children untraceable. */
int ptree_signal_kill(struct proctrack *proctrack, uint64_t id, bool now)
{
    struct ptree *ptree = (struct ptree *)proctrack;
    struct sending sending = {.sent = 0};
    int stopped = stop_all(ptree, id, &sending);
    if (stopped == -EBUSY && !now)
        return -EAGAIN;
    sending.sent = sending.refused = 0;
    steps_before(&ptree->steps, "kill");
    send_all(ptree, id, SIGKILL, &sending);
    int r = result(&sending);
    return r ? r : stopped == -EBUSY ? 0 : stopped;
}

int ptree_signal_freeze(struct proctrack *proctrack, uint64_t id, bool frozen)
{
    struct ptree *ptree = (struct ptree *)proctrack;
    struct sending sending = {.sent = 0};
    int r = ptree_scan(ptree);
    for (size_t i = 0; !r && i < ptree->file.count; i++) {
        struct ptree_record record = ptree->file.records[i];
        if (!proctrack_set_has(&record.in, id) || (record.frozen != 0) == frozen)
            continue;
        record.frozen = frozen;
        r = ptree_file_record_set(&ptree->file, &record);
    }
    if (r)
        return r;
    if (!frozen)
        send_all(ptree, id, SIGCONT, &sending);
    else
        r = stop_all(ptree, id, &sending);
    return result(&sending) ? result(&sending) : r;
}
