/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of requests; see requests.h. A slot is taken (`order`) and empty (a length of 0) before the
 * kernel copies a request into it, so it holds a request exactly when the kernel has given one
 * away, even if the worker dies before the read returns. Emptying it also maps its page: the kernel
 * fails a request that it cannot copy, and a process that was killed gets no more pages.
 */
#include "requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel reads into no less, beyond which no request is kept anyway. */
#define REST_BYTES FUSE_MIN_READ_BUFFER
/* How often an answer is tried. */
#define ATTEMPTS 4
/* Answers up to this size are joined; most are shorter. */
#define JOINED_MAX 256
/* Slots that keep their memory: 1 MiB. */
#define KEPT 1024u

#define INDEX_BITS 16
_Static_assert(SHARED_REQUESTS == 1u << INDEX_BITS, "a ticket has order and index");
_Static_assert(sizeof(struct shared_request) == 1024, "no slot crosses pages");

struct requests {
    struct shared *shared;
    struct shared_request *slots;
    uint32_t spare; /* for the next read, or REQUESTS_NONE */
    uint32_t used;  /* slots that hold a request, or were not collected yet */
    uint32_t free;  /* the first free one below requests_below, + 1; 0: none */
    uint32_t *left; /* what a dead worker left, oldest last */
    uint32_t left_count;
    _Atomic uint32_t answered;      /* last answered slot + 1; 0: none */
    uint32_t collected;             /* the same, already taken by the loop */
    char rest[REST_BYTES];          /* the end of long requests */
    uint32_t next[SHARED_REQUESTS]; /* in these lists: the next slot + 1; 0: none */
};

static uint32_t length_of(const struct shared_request *slot)
{
    uint32_t length;
    memcpy(&length, slot->data + offsetof(struct fuse_in_header, len), sizeof(length));
    return length;
}

static bool has_answer(uint32_t opcode)
{
    return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

static void put_free(struct requests *requests, uint32_t slot)
{
    requests->next[slot] = requests->free;
    requests->free = slot + 1;
}

/* -- what a dead worker left ------------------------------------------------------------ */

struct left {
    uint64_t order;
    uint32_t slot;
};

/* Newest first. */
static int compare_left(const void *a, const void *b)
{
    const struct left *x = a, *y = b;
    return x->order < y->order ? 1 : -1;
}

static int find_left(struct requests *requests)
{
    uint32_t below = requests->shared->requests_below, count = 0;
    struct left *left = calloc(below + 1, sizeof(*left));
    requests->left = calloc(below + 1, sizeof(*requests->left));
    if (!left || !requests->left) {
        free(left);
        return -ENOMEM;
    }
    for (uint32_t i = below; i-- > 0;) {
        struct shared_request *slot = &requests->slots[i];
        uint64_t order = atomic_load(&slot->order);
        if (order && length_of(slot) && has_answer(requests_header(requests, i).opcode)) {
            left[count++] = (struct left){order, i};
        } else {
            atomic_store(&slot->order, 0);
            put_free(requests, i);
        }
    }
    qsort(left, count, sizeof(*left), compare_left);
    for (uint32_t i = 0; i < count; i++)
        requests->left[i] = left[i].slot;
    requests->left_count = requests->used = count;
    free(left);
    return 0;
}

uint32_t requests_take_up(struct requests *requests)
{
    return requests->left_count ? requests->left[--requests->left_count] : REQUESTS_NONE;
}

int requests_open(struct shared *shared, struct requests **ret_requests)
{
    struct requests *requests = calloc(1, sizeof(*requests));
    if (!requests)
        return -ENOMEM;
    requests->shared = shared;
    requests->slots = shared->requests;
    requests->spare = REQUESTS_NONE;
    memset(requests->rest, 1, sizeof(requests->rest)); /* map its pages, as the slots' */
    int r = find_left(requests);
    if (r) {
        requests_free(requests);
        return r;
    }
    *ret_requests = requests;
    return 0;
}

struct requests *requests_free(struct requests *requests)
{
    if (requests) {
        free(requests->left);
        free(requests);
    }
    return NULL;
}

/* -- reading ---------------------------------------------------------------------------- */

/* Take a free slot for the next read. */
static bool need_spare(struct requests *requests)
{
    if (requests->spare != REQUESTS_NONE)
        return true;
    if (requests->free) {
        requests->spare = requests->free - 1;
        requests->free = requests->next[requests->spare];
    } else if (requests->shared->requests_below < SHARED_REQUESTS) {
        requests->spare = requests->shared->requests_below++;
    }
    return requests->spare != REQUESTS_NONE;
}

int requests_read(struct requests *requests, int fd, uint32_t *ret_slot)
{
    struct fuse_in_header header;
    if (!need_spare(requests))
        return -EAGAIN;
    struct shared_request *slot = &requests->slots[requests->spare];
    do {
        memset(slot->data, 0, sizeof(header));
        atomic_store(&slot->order, ++requests->shared->request_order);
        struct iovec parts[2] = {{slot->data, sizeof(slot->data)},
                                 {requests->rest, sizeof(requests->rest)}};
        ssize_t n = readv(fd, parts, 2);
        int r = n < 0 ? -errno : (size_t)n < sizeof(header) ? -EIO : 0;
        if (r) {
            memset(slot->data, 0, sizeof(header)); /* a part of what the kernel has failed */
            return r;
        }
        header = requests_header(requests, requests->spare);
    } while (!has_answer(header.opcode));
    *ret_slot = requests->spare;
    requests->spare = REQUESTS_NONE;
    requests->used++;
    return 0;
}

struct fuse_in_header requests_header(const struct requests *requests, uint32_t slot)
{
    struct fuse_in_header header;
    memcpy(&header, requests->slots[slot].data, sizeof(header));
    return header;
}

const char *requests_data(const struct requests *requests, uint32_t slot, size_t *ret_size)
{
    uint32_t length = length_of(&requests->slots[slot]);
    *ret_size = length < SHARED_REQUEST_MAX ? length : SHARED_REQUEST_MAX;
    return requests->slots[slot].data;
}

/* -- answers ---------------------------------------------------------------------------- */

uint64_t requests_ticket(const struct requests *requests, uint32_t slot)
{
    return atomic_load(&requests->slots[slot].order) << INDEX_BITS | slot;
}

uint32_t requests_find(const struct requests *requests, uint64_t ticket)
{
    uint32_t slot = ticket & (SHARED_REQUESTS - 1);
    bool held = ticket >> INDEX_BITS && requests_ticket(requests, slot) == ticket;
    return held ? slot : REQUESTS_NONE;
}

/* The kernel knows the number, or no one waits any more. */
static void set_answered(struct requests *requests, uint32_t slot)
{
    atomic_store(&requests->slots[slot].order, 0);
    requests->next[slot] = atomic_load(&requests->answered);
    while (!atomic_compare_exchange_weak(&requests->answered, &requests->next[slot], slot + 1))
        ;
}

/* 0 or -errno. An error before the kernel has found the request (no memory, a signal) leaves it
 * waiting. A later one (an answer of a wrong size) has ended it with EIO, and a second answer gets
 * -ENOENT, as for one whose caller was killed or whose mount is gone. */
static int write_answer(int fd, const struct iovec *iov, int count)
{
    int r = 0;
    for (int i = 0; i < ATTEMPTS; i++) {
        ssize_t n = count == 1 ? write(fd, iov->iov_base, iov->iov_len) : writev(fd, iov, count);
        r = n < 0 ? -errno : 0;
        if (r != -EINTR && r != -EAGAIN && r != -ENOMEM)
            return r;
    }
    return r;
}

/* Join the parts of a short answer: the kernel pins the pages of each part. `joined` lies within
 * one page. Return the number of parts. */
static int join(struct iovec *iov, int count, char joined[JOINED_MAX])
{
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > JOINED_MAX - size)
            return count;
        memcpy(joined + size, iov[i].iov_base, iov[i].iov_len);
        size += iov[i].iov_len;
    }
    iov[0] = (struct iovec){joined, size};
    return 1;
}

int requests_answer(struct requests *requests, int fd, uint32_t slot, struct iovec *iov, int count)
{
    _Alignas(JOINED_MAX) char joined[JOINED_MAX];
    struct fuse_out_header header;
    memcpy(&header, iov[0].iov_base, sizeof(header));
    header.unique = requests_header(requests, slot).unique;
    memcpy(iov[0].iov_base, &header, sizeof(header));
    int r = write_answer(fd, iov, join(iov, count, joined)), last = r;
    if (r && r != -ENOENT && r != -ENODEV) {
        header.len = sizeof(header);
        header.error = -EIO;
        last = write_answer(fd, &(struct iovec){&header, sizeof(header)}, 1);
    }
    if (last && last != -ENOENT && last != -ENODEV)
        return REQUESTS_UNANSWERED;
    set_answered(requests, slot);
    return r == -ENODEV ? -ENOENT : r;
}

uint32_t requests_collect(struct requests *requests)
{
    if (!requests->collected)
        requests->collected = atomic_exchange(&requests->answered, 0);
    if (!requests->collected)
        return REQUESTS_NONE;
    uint32_t slot = requests->collected - 1;
    requests->collected = requests->next[slot];
    put_free(requests, slot);
    requests->used--;
    return slot;
}

bool requests_full(const struct requests *requests)
{
    return requests->spare == REQUESTS_NONE && !requests->free && !requests->collected &&
           requests->shared->requests_below == SHARED_REQUESTS && !atomic_load(&requests->answered);
}

void requests_trim(struct requests *requests)
{
    struct shared *shared = requests->shared;
    const uint32_t below = shared->requests_below;
    if (requests->used || below <= KEPT)
        return;
    if (requests->spare != REQUESTS_NONE)
        atomic_store(&requests->slots[requests->spare].order, 0);
    requests->spare = REQUESTS_NONE;
    requests->free = shared->requests_below = 0;
    /* On failure the memory stays until the next burst. */
    madvise(&requests->slots[KEPT], (below - KEPT) * sizeof(*requests->slots), MADV_REMOVE);
}
