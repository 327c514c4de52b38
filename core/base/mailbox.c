/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes; see mailbox.h. The descriptor is written once for all items put before the taker takes
 * (`called`), so sending to a busy taker costs no system call.
 */
#include "mailbox.h"

#include "fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

int mailbox_init(struct mailbox *mailbox)
{
    *mailbox = (struct mailbox){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (mailbox->fd < 0)
        return -errno;
    mailbox->last = &mailbox->first;
    pthread_mutex_init(&mailbox->lock, NULL);
    return 0;
}

void mailbox_destroy(struct mailbox *mailbox)
{
    if (!mailbox->last)
        return;
    fd_close(mailbox->fd);
    pthread_mutex_destroy(&mailbox->lock);
    *mailbox = (struct mailbox){.fd = -1};
}

void mailbox_put_list(struct mailbox *mailbox, struct mail *first, bool lazy)
{
    if (!first)
        return;
    size_t count = 1;
    struct mail *last = first;
    for (; last->next; last = last->next)
        count++;
    pthread_mutex_lock(&mailbox->lock);
    *mailbox->last = first;
    mailbox->last = &last->next;
    mailbox->count += count;
    bool wake =
        !mailbox->called && (!lazy || mailbox->attentive || mailbox->count > mailbox->lazy_max);
    mailbox->called |= wake;
    pthread_mutex_unlock(&mailbox->lock);
    if (wake) /* after unlocking, or the taker would wake into a held lock */
        eventfd_write(mailbox->fd, 1);
}

void mailbox_put(struct mailbox *mailbox, struct mail *mail)
{
    mail->next = NULL;
    mailbox_put_list(mailbox, mail, false);
}

struct mail *mailbox_take(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mail *mail = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->count = 0;
    mailbox->called = false;
    /* A sender that writes to the descriptor only after this wakes the taker once for nothing. */
    eventfd_t calls;
    if (!mailbox->closed)
        eventfd_read(mailbox->fd, &calls);
    pthread_mutex_unlock(&mailbox->lock);
    return mail;
}

size_t mailbox_count(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    size_t count = mailbox->count;
    pthread_mutex_unlock(&mailbox->lock);
    return count;
}

bool mailbox_rest(struct mailbox *mailbox, bool attentive)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->attentive = attentive;
    bool more = attentive && mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    return !more;
}

bool mailbox_wait(struct mailbox *mailbox, int timeout_ms)
{
    struct pollfd fd = {.fd = mailbox->fd, .events = POLLIN};
    int r;
    do
        r = poll(&fd, 1, timeout_ms);
    while (r < 0 && errno == EINTR && timeout_ms < 0);
    return r > 0;
}

void mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->closed = true;
    pthread_mutex_unlock(&mailbox->lock);
    eventfd_write(mailbox->fd, 1);
}

bool mailbox_is_closed(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    bool closed = mailbox->closed;
    pthread_mutex_unlock(&mailbox->lock);
    return closed;
}

int mailbox_thread_start(struct mailbox_thread *thread, void *(*run)(void *context), void *context)
{
    *thread = (struct mailbox_thread){.runs = false};
    int r = mailbox_init(&thread->in);
    if (!r)
        r = mailbox_init(&thread->out);
    if (!r)
        r = -pthread_create(&thread->thread, NULL, run, context);
    thread->runs = !r;
    if (r)
        mailbox_thread_free(thread);
    return r;
}

void mailbox_thread_stop(struct mailbox_thread *thread)
{
    if (!thread->runs)
        return;
    mailbox_close(&thread->in);
    pthread_join(thread->thread, NULL);
    thread->runs = false;
}

void mailbox_thread_free(struct mailbox_thread *thread)
{
    mailbox_destroy(&thread->in);
    mailbox_destroy(&thread->out);
}
