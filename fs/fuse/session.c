/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to the kernel; see session.h. docs/architecture.md has the experiments behind
 * it. */
#define FUSE_USE_VERSION 314
#include "session.h"

#include "core/base/log.h"
#include "fair_queue.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* Missing in the headers of Debian 12. */
#define NOTIFY_RESEND 7
#define UNIQUE_RESEND (UINT64_C(1) << 63)

/* The number of workers in a row that may die over one request. */
#define DEADLY 3u

/* Larger than any request. */
#define BUFFER_BYTES (SESSION_WRITE_MAX + 8192u)

/* The number of requests in a row that are served as they are read, without reading ahead: a client
 * with one request at a time pays nothing for fairness. */
#define STRAIGHT 2u

struct session {
    struct shared *shared;
    struct fuse_session *session;
    int fd;
    struct session_request current;
    bool fresh_read;         /* a request that was not resent has been read */
    size_t resent_left;      /* resent requests that were read and not served yet */
    struct fair_queue queue; /* read and not served yet */
    unsigned straight;       /* requests in a row that were served as they were read */
    char *buffer;
};

static uint64_t init_unique(const struct shared *shared)
{
    struct fuse_in_header header;
    memcpy(&header, shared->init, sizeof(header));
    return header.unique;
}

/* Drop the answer to FUSE_INIT if an earlier worker has sent one. Any thread may answer. */
static ssize_t write_to_kernel(int fd, struct iovec *iov, int count, void *userdata)
{
    struct session *session = *(struct session **)userdata;
    struct fuse_out_header header;
    ssize_t total = 0;
    memcpy(&header, iov[0].iov_base, sizeof(header));
    bool greeting = header.unique && header.unique == init_unique(session->shared);
    for (int i = 0; i < count; i++)
        total += (ssize_t)iov[i].iov_len;
    if (greeting && atomic_load(&session->shared->init_answered))
        return total;
    ssize_t n = writev(fd, iov, count);
    /* ENOENT: the worker that answered died before it could record that. */
    if (greeting && n < 0 && errno == ENOENT)
        n = total;
    if (greeting && n >= 0)
        atomic_store(&session->shared->init_answered, 1);
    return n;
}

/* Required by libfuse; session_serve reads itself. */
static ssize_t read_from_kernel(int fd, void *buffer, size_t size, void *userdata)
{
    (void)userdata;
    return read(fd, buffer, size);
}

/* Return whether this program understands the shared memory of the one that mounted. The version is
 * its first field in every layout. */
static bool is_ours(const struct shared *shared)
{
    if (shared->version == SHARED_VERSION && shared->size == sizeof(*shared) &&
        shared->handle_size == sizeof(struct shared_handle))
        return true;
    log_say("This version of chronosfs cannot take over the open files of the one that mounted. To "
            "use it, unmount, then mount again.");
    return false;
}

int session_open(const struct worker_fds *fds, void *userdata, const struct fuse_lowlevel_ops *ops,
                 struct session **ret_session)
{
    static const struct fuse_custom_io io = {.writev = write_to_kernel, .read = read_from_kernel};
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->fd = fds->fuse;
    session->buffer = malloc(BUFFER_BYTES);
    void *map =
        mmap(NULL, sizeof(*session->shared), PROT_READ | PROT_WRITE, MAP_SHARED, fds->shared, 0);
    session->shared = map == MAP_FAILED ? NULL : map;
    if (!session->shared || !session->buffer || !is_ours(session->shared)) {
        int r = session->shared && session->buffer ? -EPROTO : -ENOMEM;
        session_close(session);
        return r;
    }
    char name[] = "chronosfs";
    char *argv[] = {name, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    session->session = fuse_session_new(&args, ops, sizeof(*ops), userdata);
    if (!session->session || fuse_session_custom_io(session->session, &io, fds->fuse)) {
        session_close(session);
        return -EINVAL;
    }
    *ret_session = session;
    return 0;
}

struct session *session_close(struct session *session)
{
    if (!session)
        return NULL;
    if (session->shared)
        munmap(session->shared, sizeof(*session->shared));
    fair_queue_clear(&session->queue);
    free(session->buffer);
    free(session);
    return NULL;
}

struct shared *session_shared(struct session *session)
{
    return session->shared;
}

const struct session_request *session_current(const struct session *session)
{
    return &session->current;
}

/* Count deaths over the request that the last worker was serving. */
static void count_deaths(struct shared *shared)
{
    if (shared->in_hand && shared->in_hand == shared->suspect)
        shared->suspect_deaths++;
    else if (shared->in_hand)
        shared->suspect_deaths = 1;
    shared->suspect = shared->in_hand;
    shared->in_hand = 0;
}

/* Refuse a request that has killed DEADLY workers: it would be resent forever. */
static bool is_deadly(struct session *session, const struct fuse_in_header *header)
{
    const struct shared *shared = session->shared;
    if (session->current.unique != shared->suspect || shared->suspect_deaths < DEADLY)
        return false;
    struct fuse_out_header answer = {
        .len = sizeof(answer), .error = -EIO, .unique = header->unique};
    log_say("Refused request %u on node %llu: %u workers in a row died while serving it.",
            (unsigned)header->opcode, (unsigned long long)header->nodeid,
            (unsigned)shared->suspect_deaths);
    return write(session->fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer);
}

static void process(struct session *session, void *data, size_t size)
{
    struct fuse_in_header header;
    memcpy(&header, data, sizeof(header));
    session->current = (struct session_request){.unique = header.unique & ~UNIQUE_RESEND,
                                                .resent = header.unique & UNIQUE_RESEND};
    if (header.opcode == FUSE_POLL && size >= sizeof(header) + sizeof(struct fuse_poll_in)) {
        struct fuse_poll_in poll;
        memcpy(&poll, (char *)data + sizeof(header), sizeof(poll));
        session->current.poll_kh = poll.kh;
    }
    if (!session->current.resent || !is_deadly(session, &header)) {
        struct fuse_buf buf = {.mem = data, .size = size};
        session->shared->in_hand = session->current.unique;
        fuse_session_process_buf(session->session, &buf);
        session->shared->in_hand = 0;
    }
    if (session->current.resent)
        session->resent_left--;
}

/* Send a notification to the kernel. */
static int notify(struct session *session, int code, const void *data, size_t size)
{
    struct fuse_out_header header = {.len = (uint32_t)(sizeof(header) + size), .error = code};
    struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)data, size}};
    return writev(session->fd, iov, size ? 2 : 1) < 0 ? -errno : 0;
}

int session_start(struct session *session)
{
    char init[SHARED_INIT_MAX];
    bool successor = atomic_load(&session->shared->init_answered);
    memcpy(init, session->shared->init, sizeof(init));
    count_deaths(session->shared);
    process(session, init, session->shared->init_length);
    if (!atomic_load(&session->shared->init_answered))
        return -EPROTO;
    int r = successor ? notify(session, NOTIFY_RESEND, NULL, 0) : 0;
    if (r)
        log_say("This kernel cannot resend requests (6.9 and newer can): callers whose request the "
                "last worker had read hang until they are killed.");
    return 0;
}

/* Return the owner whose turn a request takes. The kernel's own requests have uid 0. */
static uint64_t owner_of(const struct fuse_in_header *header)
{
    switch (header->opcode) {
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INIT:
    case FUSE_DESTROY:
        return QUEUE_UNOWNED;
    default:
        return header->uid;
    }
}

/* Read one request into the buffer. 0 or -errno. */
static int take(struct session *session, size_t *ret_size, uint64_t *ret_owner)
{
    struct fuse_in_header header;
    do { /* no request takes long enough to be interrupted */
        ssize_t n = read(session->fd, session->buffer, BUFFER_BYTES);
        if (n < 0)
            return -errno;
        if ((size_t)n < sizeof(header))
            return -EIO;
        memcpy(&header, session->buffer, sizeof(header));
        *ret_size = (size_t)n;
    } while (header.opcode == FUSE_INTERRUPT);
    *ret_owner = owner_of(&header);
    if (header.unique & UNIQUE_RESEND)
        session->resent_left++;
    else if (header.opcode != FUSE_FORGET && header.opcode != FUSE_BATCH_FORGET)
        session->fresh_read = true; /* forgets can overtake resent requests */
    return 0;
}

/* Serve the next queued request, if there is one. */
static bool serve_held(struct session *session)
{
    struct fair_queue_item *item = fair_queue_pop(&session->queue);
    if (!item)
        return false;
    process(session, item->data, item->size);
    free(item);
    return true;
}

int session_serve(struct session *session)
{
    size_t size = 0;
    uint64_t owner = 0;
    int r = 0;
    bool straight = !session->queue.count && session->straight < STRAIGHT;
    while (!fair_queue_is_full(&session->queue)) {
        r = take(session, &size, &owner);
        if (r)
            break;
        if (straight || fair_queue_push(&session->queue, owner, session->buffer, size)) {
            session->straight++;
            process(session, session->buffer, size);
            return 0;
        }
    }
    if (session->queue.count < 2)
        session->straight = 0;
    /* Serve what was read, even after a read error. */
    return serve_held(session) ? 0 : r;
}

bool session_holds(const struct session *session)
{
    return session->queue.count > 0;
}

void session_serve_rest(struct session *session)
{
    while (serve_held(session))
        ;
}

int session_notify_poll(struct session *session, uint64_t kh)
{
    struct fuse_notify_poll_wakeup_out wakeup = {.kh = kh};
    return notify(session, FUSE_NOTIFY_POLL, &wakeup, sizeof(wakeup));
}

bool session_after_resent(const struct session *session)
{
    return session->fresh_read && !session->resent_left;
}

void session_forget_node(struct session *session, uint64_t node_id)
{
    /* A negative offset: attributes only. ENOENT (not cached) is fine. */
    struct fuse_notify_inval_inode_out node = {.ino = node_id, .off = -1, .len = 0};
    notify(session, FUSE_NOTIFY_INVAL_INODE, &node, sizeof(node));
}
