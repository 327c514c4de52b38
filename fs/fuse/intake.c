/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests are held and which is next; see intake.h. */
#include "intake.h"

#include "core/base/log.h"
#include "fair_queue.h"
#include "fs/tree/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The number of requests in a row that are served as they are read, without reading ahead: a client
 * with one request at a time pays nothing for fairness. */
#define STRAIGHT 2u

/* The most requests read for one that is served, so that refusing some does not keep the others
 * waiting. */
#define READ_AHEAD 256u
/* What reading a request takes, and reading and refusing one. Its owner pays for it. */
#define READ_NS   2000u
#define REFUSE_NS 4000u

struct intake {
    int fd;
    const struct names *names;
    struct requests *requests;
    struct fair_queue *queue;         /* read and not answered yet */
    struct held *held;                /* by slot */
    uint32_t left_count;              /* requests of a dead worker that were not served yet */
    unsigned straight;                /* requests in a row that were served as they were read */
    uint64_t spent_ns;                /* what the last request took */
    uint32_t first_aside, last_aside; /* slots put aside; REQUESTS_NONE: none */
};

/* A request that was read. */
struct held {
    struct fair_queue_item item; /* must be first */
    bool left;                   /* by a dead worker */
    uint32_t aside;              /* the slot put aside after this one; REQUESTS_NONE */
};

/* Return the owner whose turn a request takes: an account, because one person can have many uids.
 * The kernel's own requests have uid 0. */
static uint64_t owner_of(const struct intake *intake, const struct fuse_in_header *header)
{
    switch (header->opcode) {
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_DESTROY:
        return QUEUE_UNOWNED;
    default:
        return intake->names ? names_account(intake->names, header->uid) : header->uid;
    }
}

/* Hold a request until its turn comes. */
static void hold(struct intake *intake, uint32_t slot, bool left)
{
    struct held *held = &intake->held[slot];
    struct fuse_in_header header = requests_header(intake->requests, slot);
    held->left = left;
    intake->left_count += left;
    fair_queue_push(intake->queue, owner_of(intake, &header), &held->item);
}

int intake_open(struct shared *shared, int fd, const struct names *names,
                struct intake **ret_intake)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    if (!intake)
        return -ENOMEM;
    intake->fd = fd;
    intake->names = names;
    intake->first_aside = REQUESTS_NONE;
    intake->held = calloc(SHARED_REQUESTS, sizeof(*intake->held));
    int r = intake->held ? fair_queue_new(SHARED_REQUESTS, &intake->queue) : -ENOMEM;
    if (!r)
        r = requests_open(shared, &intake->requests);
    if (r) {
        intake_free(intake);
        return r;
    }
    for (uint32_t slot; (slot = requests_take_up(intake->requests)) != REQUESTS_NONE;)
        hold(intake, slot, true);
    *ret_intake = intake;
    return 0;
}

struct intake *intake_free(struct intake *intake)
{
    if (intake) {
        requests_free(intake->requests);
        fair_queue_free(intake->queue);
        free(intake->held);
        free(intake);
    }
    return NULL;
}

struct requests *intake_requests(struct intake *intake)
{
    return intake->requests;
}

/* Return the error for a request that is too long for a slot, or 0. Of a write the beginning is
 * enough to refuse it, and the names in the tree are far shorter. */
static int refusal_of_long(const struct fuse_in_header *header)
{
    if (header->len <= SHARED_REQUEST_MAX || header->opcode == FUSE_WRITE)
        return 0;
    switch (header->opcode) {
    case FUSE_LOOKUP:
        return ENAMETOOLONG;
    case FUSE_SETXATTR:
    case FUSE_GETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_IOCTL:
        return ENOSYS;
    default:
        return EPERM;
    }
}

int intake_answer(struct intake *intake, uint32_t slot, struct iovec *iov, int count)
{
    const uint32_t opcode = requests_header(intake->requests, slot).opcode;
    int r = requests_answer(intake->requests, intake->fd, slot, iov, count);
    if (r && r != -ENOENT)
        log_say("The kernel did not take the answer to a request %u.", (unsigned)opcode);
    if (r == REQUESTS_UNANSWERED)
        abort();
    return r;
}

void intake_refuse(struct intake *intake, uint32_t slot, int error)
{
    struct fuse_out_header answer = {.len = sizeof(answer), .error = -error};
    intake_answer(intake, slot, &(struct iovec){&answer, sizeof(answer)}, 1);
}

/* Read one request, and hold or refuse it. 0 or -errno. */
static int take(struct intake *intake)
{
    uint32_t slot;
    int r = requests_read(intake->requests, intake->fd, &slot);
    if (r)
        return r;
    struct fuse_in_header header = requests_header(intake->requests, slot);
    const uint64_t owner = owner_of(intake, &header);
    r = refusal_of_long(&header);
    if (!r && !fair_queue_admits(intake->queue, owner))
        r = EAGAIN;
    if (r) {
        intake_refuse(intake, slot, r);
        fair_queue_charge(intake->queue, owner, REFUSE_NS);
    } else {
        hold(intake, slot, false);
    }
    return 0;
}

/* Make the slots of answered requests free. */
static void collect(struct intake *intake)
{
    for (uint32_t slot; (slot = requests_collect(intake->requests)) != REQUESTS_NONE;) {
        struct held *held = &intake->held[slot];
        if (held->item.owner)
            fair_queue_remove(intake->queue, &held->item);
        held->item.owner = NULL; /* the next request may be refused */
    }
}

int intake_next(struct intake *intake, uint32_t *ret_slot)
{
    int r = 0;
    collect(intake);
    bool straight = !intake_holds(intake) && intake->straight < STRAIGHT;
    for (unsigned i = 0; !r && i < READ_AHEAD && !(straight && intake_holds(intake)); i++)
        r = take(intake);
    if (straight && !r)
        intake->straight++;
    else if (fair_queue_waiting(intake->queue) < 2)
        intake->straight = 0;
    /* Serve what was read, even after a read error. */
    const struct fair_queue_item *item = fair_queue_pop(intake->queue, intake->spent_ns);
    intake->spent_ns = 0;
    if (item) {
        *ret_slot = (uint32_t)((const struct held *)item - intake->held);
        return 0;
    }
    if (r == -EAGAIN)
        requests_trim(intake->requests);
    return r;
}

bool intake_was_left(const struct intake *intake, uint32_t slot)
{
    return intake->held[slot].left;
}

void intake_served(struct intake *intake, uint32_t slot, int64_t spent_ns)
{
    intake->spent_ns = READ_NS + (uint64_t)spent_ns;
    intake->left_count -= intake->held[slot].left;
}

void intake_put_aside(struct intake *intake, uint32_t slot)
{
    intake->held[slot].aside = REQUESTS_NONE;
    if (intake->first_aside == REQUESTS_NONE)
        intake->first_aside = slot;
    else
        intake->held[intake->last_aside].aside = slot;
    intake->last_aside = slot;
    intake->spent_ns = READ_NS;
}

void intake_take_back(struct intake *intake)
{
    for (uint32_t slot = intake->first_aside; slot != REQUESTS_NONE;
         slot = intake->held[slot].aside)
        fair_queue_again(intake->queue, &intake->held[slot].item);
    intake->first_aside = REQUESTS_NONE;
}

bool intake_is_full(const struct intake *intake)
{
    return requests_full(intake->requests);
}

bool intake_holds(const struct intake *intake)
{
    return fair_queue_waiting(intake->queue) > 0;
}

uint32_t intake_left(const struct intake *intake)
{
    return intake->left_count;
}
