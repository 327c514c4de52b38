/* SPDX-License-Identifier: Apache-2.0 */
/* Open files; see handles.h. */
#include "handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANDLES_FIRST 256u
#define HANDLES_MAX   (1u << 24)

static int handles_map(struct handles *handles, uint32_t count)
{
    size_t size = (size_t)count * sizeof(struct shared_handle);
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, handles->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    if (handles->slots)
        munmap(handles->slots, (size_t)handles->count * sizeof(struct shared_handle));
    handles->slots = map;
    handles->count = count;
    return 0;
}

static uint32_t *handles_list(struct handles *handles, uint64_t node)
{
    uint64_t hash = node * UINT64_C(0x9e3779b97f4a7c15);
    return &handles->poll_heads[hash >> 32 & (HANDLES_BUCKETS - 1)];
}

static void handles_link_free(struct handles *handles, uint32_t index)
{
    handles->slots[index].next_free = handles->free;
    handles->free = index + 1;
}

static int handles_grow(struct handles *handles, uint32_t count)
{
    uint32_t old = handles->count;
    if (count > HANDLES_MAX)
        return -ENFILE;
    struct handles_poll *polls = realloc(handles->polls, count * sizeof(*polls));
    if (!polls)
        return -ENOMEM;
    handles->polls = polls;
    if (ftruncate(handles->fd, (off_t)((size_t)count * sizeof(struct shared_handle))))
        return -errno;
    int r = handles_map(handles, count);
    if (r)
        return r;
    for (uint32_t i = count; i-- > old;)
        handles_link_free(handles, i);
    return 0;
}

/* Rebuild the lists from the slots, so that a worker that died while changing them leaves no
 * damage. */
static int handles_adopt(struct handles *handles)
{
    handles->polls = malloc(handles->count * sizeof(*handles->polls));
    if (!handles->polls)
        return -ENOMEM;
    for (uint32_t i = handles->count; i-- > 0;) {
        struct shared_handle *slot = &handles->slots[i];
        uint64_t kh = slot->poll;
        slot->poll = 0;
        if (!slot->node)
            handles_link_free(handles, i);
        else if (kh)
            handles_poll(handles, ((uint64_t)slot->generation << 32) | i, kh - 1);
    }
    return 0;
}

int handles_open(struct handles *handles, int fd)
{
    struct stat st;
    memset(handles, 0, sizeof(*handles));
    handles->fd = fd;
    if (fstat(fd, &st))
        return -errno;
    uint32_t count = (uint32_t)((size_t)st.st_size / sizeof(struct shared_handle));
    if (!count)
        return handles_grow(handles, HANDLES_FIRST);
    int r = handles_map(handles, count);
    return r ? r : handles_adopt(handles);
}

void handles_close(struct handles *handles)
{
    if (handles->slots)
        munmap(handles->slots, (size_t)handles->count * sizeof(struct shared_handle));
    free(handles->polls);
    memset(handles, 0, sizeof(*handles));
}

int handles_take(struct handles *handles, uint64_t node, uint32_t uid, uint64_t *ret_fh)
{
    if (!handles->free) {
        int r = handles_grow(handles, handles->count * 2);
        if (r)
            return r;
    }
    uint32_t index = handles->free - 1;
    struct shared_handle *slot = &handles->slots[index];
    handles->free = slot->next_free;
    uint32_t generation = slot->generation + 1 ? slot->generation + 1 : 1;
    *slot = (struct shared_handle){.generation = generation, .uid = uid};
    /* Last: a used slot must not show the charge of its previous file. */
    atomic_thread_fence(memory_order_release);
    slot->node = node + 1;
    *ret_fh = ((uint64_t)generation << 32) | index;
    return 0;
}

struct shared_handle *handles_get(struct handles *handles, uint64_t fh)
{
    uint32_t index = (uint32_t)fh;
    if (index >= handles->count)
        return NULL;
    struct shared_handle *slot = &handles->slots[index];
    return slot->node && slot->generation == (uint32_t)(fh >> 32) ? slot : NULL;
}

/* Remove a slot from its poll list, however long that is: a user can have many files. */
static void handles_unpoll(struct handles *handles, uint32_t index)
{
    struct shared_handle *slot = &handles->slots[index];
    const struct handles_poll *poll = &handles->polls[index];
    if (poll->next)
        handles->polls[poll->next - 1].previous = poll->previous;
    if (poll->previous)
        handles->polls[poll->previous - 1].next = poll->next;
    else
        *handles_list(handles, slot->node - 1) = poll->next;
    slot->poll = 0;
}

void handles_release(struct handles *handles, uint64_t fh)
{
    struct shared_handle *slot = handles_get(handles, fh);
    if (!slot)
        return;
    if (slot->poll)
        handles_unpoll(handles, (uint32_t)fh);
    slot->node = 0;
    handles_link_free(handles, (uint32_t)fh);
}

void handles_poll(struct handles *handles, uint64_t fh, uint64_t kh)
{
    uint32_t index = (uint32_t)fh;
    struct shared_handle *slot = handles_get(handles, fh);
    if (!slot)
        return;
    if (!slot->poll) {
        uint32_t *list = handles_list(handles, slot->node - 1);
        handles->polls[index] = (struct handles_poll){.next = *list};
        if (*list)
            handles->polls[*list - 1].previous = index + 1;
        *list = index + 1;
    }
    slot->poll = kh + 1;
}

static void wake_list(struct handles *handles, uint32_t first, handles_wake_fn *wake, void *context)
{
    for (uint32_t index, next; first; first = next) {
        index = first - 1;
        next = handles->polls[index].next;
        if (wake(context, &handles->slots[index]))
            handles_unpoll(handles, index);
    }
}

void handles_wake(struct handles *handles, uint64_t node, handles_wake_fn *wake, void *context)
{
    wake_list(handles, *handles_list(handles, node), wake, context);
}

void handles_wake_all(struct handles *handles, handles_wake_fn *wake, void *context)
{
    for (uint32_t i = 0; i < HANDLES_BUCKETS; i++)
        wake_list(handles, handles->poll_heads[i], wake, context);
}
