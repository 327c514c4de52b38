/* SPDX-License-Identifier: Apache-2.0 */
/* The line to the kernel; see link.h. Tried and measured before: docs/architecture.md. */
#define FUSE_USE_VERSION 314
#include "link.h"

#include "log.h"
#include "queue.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#define NOTIFY_RESEND    7
#define NOTIFY_INC_EPOCH 8
#define UNIQUE_RESEND    (UINT64_C(1) << 63)

/* So many workers in a row may die over one request. */
#define DEADLY 3u

/* Larger than any request. */
#define LINK_BUFFER (LINK_WRITE_MAX + 8192u)

/* So many requests in a row are served as they are read, without a look at what
 * else there is: a client that asks one thing at a time pays nothing for turns. */
#define STRAIGHT 2u

struct link {
    struct shared *shared;
    struct fuse_session *session;
    int fd;
    struct link_request current;
    bool epochs;
    bool fresh_read;    /* a request that is no repeated one was read */
    size_t resent_left; /* repeated requests that were read and not served */
    struct queue queue; /* what was read and not served */
    unsigned straight;  /* requests served as they were read, in a row */
    char *buffer;
};

static uint64_t init_unique(const struct shared *shared)
{
    struct fuse_in_header header;
    memcpy(&header, shared->init, sizeof(header));
    return header.unique;
}

/* Swallows the answer to the greeting once it was given. Any thread may answer. */
static ssize_t link_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct link *link = *(struct link **)userdata;
    struct fuse_out_header header;
    ssize_t total = 0;
    memcpy(&header, iov[0].iov_base, sizeof(header));
    bool greeting = header.unique && header.unique == init_unique(link->shared);
    for (int i = 0; i < count; i++)
        total += (ssize_t)iov[i].iov_len;
    if (greeting && atomic_load(&link->shared->init_answered))
        return total;
    ssize_t n = writev(fd, iov, count);
    /* Not known: the worker that answered died before it could say so. */
    if (greeting && n < 0 && errno == ENOENT)
        n = total;
    if (greeting && n >= 0)
        atomic_store(&link->shared->init_answered, 1);
    return n;
}

/* The library wants one; link_serve reads itself. */
static ssize_t link_read(int fd, void *buffer, size_t size, void *userdata)
{
    (void)userdata;
    return read(fd, buffer, size);
}

/* Whether this program understands the memory of the one that mounted. The version
 * comes first in it, whatever the rest is. */
static bool is_ours(const struct shared *shared)
{
    if (shared->version == SHARED_VERSION && shared->size == sizeof(*shared) &&
        shared->handle_size == sizeof(struct shared_handle))
        return true;
    log_say("this version of chronosfs cannot take over the open files of the one that mounted: "
            "unmount and start it anew to change to it");
    return false;
}

int link_open(const struct worker_fds *fds, void *userdata, const struct fuse_lowlevel_ops *ops,
              struct link **ret_link)
{
    static const struct fuse_custom_io io = {.writev = link_writev, .read = link_read};
    struct link *link = calloc(1, sizeof(*link));
    if (!link)
        return -ENOMEM;
    link->fd = fds->fuse;
    link->buffer = malloc(LINK_BUFFER);
    void *map =
        mmap(NULL, sizeof(*link->shared), PROT_READ | PROT_WRITE, MAP_SHARED, fds->shared, 0);
    link->shared = map == MAP_FAILED ? NULL : map;
    if (!link->shared || !link->buffer || !is_ours(link->shared)) {
        int r = link->shared && link->buffer ? -EPROTO : -ENOMEM;
        link_close(link);
        return r;
    }
    char name[] = "chronosfs";
    char *argv[] = {name, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    link->session = fuse_session_new(&args, ops, sizeof(*ops), userdata);
    if (!link->session || fuse_session_custom_io(link->session, &io, fds->fuse)) {
        link_close(link);
        return -EINVAL;
    }
    *ret_link = link;
    return 0;
}

struct link *link_close(struct link *link)
{
    if (!link)
        return NULL;
    if (link->shared)
        munmap(link->shared, sizeof(*link->shared));
    queue_clear(&link->queue);
    free(link->buffer);
    free(link);
    return NULL;
}

struct shared *link_shared(struct link *link)
{
    return link->shared;
}

const struct link_request *link_current(const struct link *link)
{
    return &link->current;
}

/* Counts the deaths over one request, from what the last worker had in hand. */
static void link_suspect(struct shared *shared)
{
    if (shared->in_hand && shared->in_hand == shared->suspect)
        shared->suspect_deaths++;
    else if (shared->in_hand)
        shared->suspect_deaths = 1;
    shared->suspect = shared->in_hand;
    shared->in_hand = 0;
}

/* A request that every worker dies of would be repeated for ever: it is refused. */
static bool link_is_deadly(struct link *link, const struct fuse_in_header *header)
{
    const struct shared *shared = link->shared;
    if (link->current.unique != shared->suspect || shared->suspect_deaths < DEADLY)
        return false;
    struct fuse_out_header answer = {
        .len = sizeof(answer), .error = -EIO, .unique = header->unique};
    log_say("request %u on node %llu ended %u workers: it is refused", (unsigned)header->opcode,
            (unsigned long long)header->nodeid, (unsigned)shared->suspect_deaths);
    return write(link->fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer);
}

static void link_process(struct link *link, void *data, size_t size)
{
    struct fuse_in_header header;
    memcpy(&header, data, sizeof(header));
    link->current = (struct link_request){.unique = header.unique & ~UNIQUE_RESEND,
                                          .resent = header.unique & UNIQUE_RESEND};
    if (header.opcode == FUSE_POLL && size >= sizeof(header) + sizeof(struct fuse_poll_in)) {
        struct fuse_poll_in poll;
        memcpy(&poll, (char *)data + sizeof(header), sizeof(poll));
        link->current.poll_kh = poll.kh;
    }
    if (!link->current.resent || !link_is_deadly(link, &header)) {
        struct fuse_buf buf = {.mem = data, .size = size};
        link->shared->in_hand = link->current.unique;
        fuse_session_process_buf(link->session, &buf);
        link->shared->in_hand = 0;
    }
    if (link->current.resent)
        link->resent_left--;
}

/* A message of our own to the kernel, which is no answer. */
static int link_notify(struct link *link, int code, const void *data, size_t size)
{
    struct fuse_out_header header = {.len = (uint32_t)(sizeof(header) + size), .error = code};
    struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)data, size}};
    return writev(link->fd, iov, size ? 2 : 1) < 0 ? -errno : 0;
}

int link_start(struct link *link)
{
    char init[SHARED_INIT_MAX];
    bool successor = atomic_load(&link->shared->init_answered);
    memcpy(init, link->shared->init, sizeof(init));
    link_suspect(link->shared);
    link_process(link, init, link->shared->init_length);
    if (!atomic_load(&link->shared->init_answered))
        return -EPROTO;
    link->epochs = !link_notify(link, NOTIFY_INC_EPOCH, NULL, 0);
    int r = successor ? link_notify(link, NOTIFY_RESEND, NULL, 0) : 0;
    if (r)
        log_say("this kernel cannot repeat requests (6.9 and newer can): callers whose request the "
                "last worker had read wait until they are killed");
    return 0;
}

/* Whose turn a request takes. What the kernel sends on its own account says uid 0. */
static uint64_t link_owner(const struct fuse_in_header *header)
{
    switch (header->opcode) {
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INIT:
    case FUSE_DESTROY:
        return QUEUE_NOBODY;
    default:
        return header->uid;
    }
}

/* Reads one request into the buffer. 0 or -errno. */
static int link_take(struct link *link, size_t *ret_size, uint64_t *ret_owner)
{
    struct fuse_in_header header;
    do { /* no request takes long enough to be interrupted */
        ssize_t n = read(link->fd, link->buffer, LINK_BUFFER);
        if (n < 0)
            return -errno;
        if ((size_t)n < sizeof(header))
            return -EIO;
        memcpy(&header, link->buffer, sizeof(header));
        *ret_size = (size_t)n;
    } while (header.opcode == FUSE_INTERRUPT);
    *ret_owner = link_owner(&header);
    if (header.unique & UNIQUE_RESEND)
        link->resent_left++;
    else if (header.opcode != FUSE_FORGET && header.opcode != FUSE_BATCH_FORGET)
        link->fresh_read = true; /* forgets have a queue of their own and may come first */
    return 0;
}

/* Serves the held request whose turn it is, if there is one. */
static bool link_serve_held(struct link *link)
{
    struct queue_item *item = queue_pop(&link->queue);
    if (!item)
        return false;
    link_process(link, item->data, item->size);
    free(item);
    return true;
}

int link_serve(struct link *link)
{
    size_t size = 0;
    uint64_t owner = 0;
    int r = 0;
    bool straight = !link->queue.count && link->straight < STRAIGHT;
    while (!queue_is_full(&link->queue)) {
        r = link_take(link, &size, &owner);
        if (r)
            break;
        if (straight || queue_push(&link->queue, owner, link->buffer, size)) {
            link->straight++;
            link_process(link, link->buffer, size);
            return 0;
        }
    }
    if (link->queue.count < 2)
        link->straight = 0;
    /* What was read is served, whatever became of the line. */
    return link_serve_held(link) ? 0 : r;
}

bool link_holds(const struct link *link)
{
    return link->queue.count > 0;
}

void link_serve_rest(struct link *link)
{
    while (link_serve_held(link))
        ;
}

int link_notify_poll(struct link *link, uint64_t kh)
{
    struct fuse_notify_poll_wakeup_out wakeup = {.kh = kh};
    return link_notify(link, FUSE_NOTIFY_POLL, &wakeup, sizeof(wakeup));
}

bool link_after_resent(const struct link *link)
{
    return link->fresh_read && !link->resent_left;
}

bool link_has_epochs(const struct link *link)
{
    return link->epochs;
}

void link_forget_names(struct link *link)
{
    if (link->epochs)
        link_notify(link, NOTIFY_INC_EPOCH, NULL, 0);
}

void link_forget_node(struct link *link, uint64_t node_id)
{
    /* A negative offset: attributes only. ENOENT (nothing remembered) is fine. */
    struct fuse_notify_inval_inode_out node = {.ino = node_id, .off = -1, .len = 0};
    link_notify(link, FUSE_NOTIFY_INVAL_INODE, &node, sizeof(node));
}
