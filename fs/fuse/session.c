/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to the kernel; see session.h. docs/architecture.md has the experiments behind
 * it. */
#define FUSE_USE_VERSION 314
#include "session.h"

#include "cached.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "intake.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* The number of workers in a row that may die over one request. */
#define DEADLY 3u

/* libfuse knows requests by their ticket (requests.h), and FUSE_INIT by this. */
#define GREETING 1u

struct session {
    struct shared *shared;
    struct fuse_session *session;
    int fd;
    struct session_request current;
    struct intake *intake;
    struct requests *requests; /* of the intake */
    struct cached *cached;
    void *userdata;
    session_waits_fn *waits; /* NULL: none does */
    _Alignas(uint64_t) char buffer[SHARED_REQUEST_MAX];
};

static uint64_t init_unique(const struct shared *shared)
{
    struct fuse_in_header header;
    memcpy(&header, shared->init, sizeof(header));
    return header.unique;
}

/* Send the answer to FUSE_INIT, unless an earlier worker has. */
static ssize_t write_greeting(struct session *session, struct iovec *iov, int count, ssize_t total)
{
    if (atomic_load(&session->shared->init_answered))
        return total;
    ssize_t n = writev(session->fd, iov, count);
    /* ENOENT: the worker that answered died before it could record that. */
    if (n < 0 && errno == ENOENT)
        n = total;
    if (n >= 0)
        atomic_store(&session->shared->init_answered, 1);
    return n;
}

/* Called by libfuse, on any thread. */
static ssize_t write_to_kernel(int fd, struct iovec *iov, int count, void *userdata)
{
    struct session *session = *(struct session **)userdata;
    struct fuse_out_header header;
    (void)fd;
    ssize_t total = 0;
    for (int i = 0; i < count; i++)
        total += (ssize_t)iov[i].iov_len;
    memcpy(&header, iov[0].iov_base, sizeof(header));
    if (header.unique == GREETING) {
        header.unique = init_unique(session->shared);
        memcpy(iov[0].iov_base, &header, sizeof(header));
        return write_greeting(session, iov, count, total);
    }
    uint32_t slot = requests_find(session->requests, header.unique);
    int r = -ENOENT; /* answered already */
    if (slot != REQUESTS_NONE)
        r = intake_answer(session->intake, slot, iov, count);
    errno = -r;
    return r ? -1 : total;
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
                 const struct names *names, struct session **ret_session)
{
    static const struct fuse_custom_io io = {.writev = write_to_kernel, .read = read_from_kernel};
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->fd = fds->fuse;
    session->userdata = userdata;
    void *map =
        mmap(NULL, sizeof(*session->shared), PROT_READ | PROT_WRITE, MAP_SHARED, fds->shared, 0);
    session->shared = map == MAP_FAILED ? NULL : map;
    int r = session->shared ? 0 : -ENOMEM;
    if (!r && !is_ours(session->shared))
        r = -EPROTO;
    if (!r)
        r = intake_open(session->shared, fds->fuse, names, &session->intake);
    if (!r) /* the kernel may have answers of an earlier worker */
        r = cached_new(atomic_load(&session->shared->init_answered), clock_monotonic_ns(),
                       &session->cached);
    if (r) {
        session_close(session);
        return r;
    }
    session->requests = intake_requests(session->intake);
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
    intake_free(session->intake);
    cached_free(session->cached);
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

/* Return whether a request has killed DEADLY workers: it would be served forever. */
static bool is_deadly(const struct session *session, const struct fuse_in_header *header)
{
    const struct shared *shared = session->shared;
    if (header->unique != shared->suspect || shared->suspect_deaths < DEADLY)
        return false;
    log_say("Refused request %u on node %llu: %u workers in a row died while serving it.",
            (unsigned)header->opcode, (unsigned long long)header->nodeid,
            (unsigned)shared->suspect_deaths);
    return true;
}

/* Pass a request to libfuse, which answers `ticket`. */
static void pass_on(struct session *session, uint64_t ticket, char *data, size_t size)
{
    struct fuse_in_header header;
    struct fuse_buf buf = {.mem = data, .size = size};
    memcpy(&header, data, sizeof(header));
    session->shared->in_hand = header.unique;
    header.unique = ticket;
    memcpy(data, &header, sizeof(header));
    fuse_session_process_buf(session->session, &buf);
    session->shared->in_hand = 0;
}

/* Serve the request in a slot, with a copy: the slot keeps it as it came. */
static void process(struct session *session, uint32_t slot)
{
    size_t size;
    struct fuse_in_header header = requests_header(session->requests, slot);
    const char *data = requests_data(session->requests, slot, &size);
    const bool left = intake_was_left(session->intake, slot);
    memcpy(session->buffer, data, size);
    session->current = (struct session_request){.unique = header.unique, .again = left};
    if (header.opcode == FUSE_POLL && size >= sizeof(header) + sizeof(struct fuse_poll_in)) {
        struct fuse_poll_in poll;
        memcpy(&poll, data + sizeof(header), sizeof(poll));
        session->current.poll_kh = poll.kh;
    }
    if (left && is_deadly(session, &header))
        intake_refuse(session->intake, slot, EIO);
    else
        pass_on(session, requests_ticket(session->requests, slot), session->buffer, size);
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
    _Alignas(uint64_t) char init[SHARED_INIT_MAX];
    struct fuse_init_in *in = (void *)(init + sizeof(struct fuse_in_header));
    memcpy(init, session->shared->init, sizeof(init));
    /* Otherwise libfuse makes the most pages of a read those of a write. */
    in->flags &= ~(uint32_t)FUSE_MAX_PAGES;
    count_deaths(session->shared);
    session->current = (struct session_request){.unique = init_unique(session->shared)};
    pass_on(session, GREETING, init, session->shared->init_length);
    if (!atomic_load(&session->shared->init_answered))
        return -EPROTO;
    return 0;
}

void session_set_waits(struct session *session, session_waits_fn *waits)
{
    session->waits = waits;
}

void session_take_back(struct session *session)
{
    intake_take_back(session->intake);
}

/* Return whether a request is to be put aside. */
static bool waits(const struct session *session, uint32_t slot)
{
    size_t size;
    const struct fuse_in_header header = requests_header(session->requests, slot);
    const char *data = requests_data(session->requests, slot, &size);
    struct fuse_setattr_in in = {.valid = 0};
    if (header.opcode == FUSE_SETATTR && size >= sizeof(header) + sizeof(in))
        memcpy(&in, data + sizeof(header), sizeof(in));
    return session->waits && (header.opcode == FUSE_WRITE || (in.valid & FATTR_MTIME)) &&
           session->waits(session->userdata, header.nodeid);
}

int session_serve(struct session *session)
{
    uint32_t slot;
    int r = intake_next(session->intake, &slot);
    if (r)
        return r;
    if (waits(session, slot)) {
        intake_put_aside(session->intake, slot);
        return 0;
    }
    int64_t before_ns = clock_monotonic_ns();
    process(session, slot);
    intake_served(session->intake, slot, clock_monotonic_ns() - before_ns);
    return 0;
}

bool session_is_full(const struct session *session)
{
    return intake_is_full(session->intake);
}

bool session_holds(const struct session *session)
{
    return intake_holds(session->intake);
}

int session_notify_poll(struct session *session, uint64_t kh)
{
    struct fuse_notify_poll_wakeup_out wakeup = {.kh = kh};
    return notify(session, FUSE_NOTIFY_POLL, &wakeup, sizeof(wakeup));
}

bool session_after_left(const struct session *session)
{
    return !intake_left(session->intake);
}

void session_note_cached(struct session *session, const struct node *node)
{
    cached_note(session->cached, node, clock_monotonic_ns());
}

uint64_t session_cached(struct session *session, uint64_t id)
{
    return cached_find(session->cached, id, clock_monotonic_ns());
}

void session_forget_node(struct session *session, uint64_t node_id)
{
    /* A negative offset: attributes only. ENOENT (not cached) is fine. */
    struct fuse_notify_inval_inode_out node = {.ino = node_id, .off = -1, .len = 0};
    notify(session, FUSE_NOTIFY_INVAL_INODE, &node, sizeof(node));
}
