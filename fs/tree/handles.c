/* SPDX-License-Identifier: Apache-2.0 */
/* Open files; see handles.h. */
#include "handles.h"

#include "names.h"
#include "pollers.h"

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
    if (ftruncate(handles->fd, (off_t)((size_t)count * sizeof(struct shared_handle))))
        return -errno;
    int r = handles_map(handles, count);
    if (r)
        return r;
    for (uint32_t i = count; i-- > old;)
        handles_link_free(handles, i);
    return 0;
}

/* Record a polled slot. The opener pays for its wake-up. */
static int handles_add_poller(struct handles *handles, uint32_t index)
{
    const struct shared_handle *slot = &handles->slots[index];
    uint32_t account = handles->names ? names_account(handles->names, slot->uid) : slot->uid;
    return pollers_add(handles->pollers, index, slot->node - 1, account);
}

/* Rebuild the lists from the slots, so that a worker that died while changing them leaves no
 * damage. */
static int handles_adopt(struct handles *handles)
{
    for (uint32_t i = handles->count; i-- > 0;) {
        struct shared_handle *slot = &handles->slots[i];
        int r = 0;
        if (!slot->node) {
            slot->poll = 0;
            handles_link_free(handles, i);
        } else if (slot->poll) {
            r = handles_add_poller(handles, i);
        }
        if (r)
            return r;
    }
    return 0;
}

int handles_open(struct handles *handles, int fd, const struct names *names)
{
    struct stat st;
    memset(handles, 0, sizeof(*handles));
    handles->fd = fd;
    handles->names = names;
    if (fstat(fd, &st))
        return -errno;
    int r = pollers_new(&handles->pollers);
    if (r)
        return r;
    uint32_t count = (uint32_t)((size_t)st.st_size / sizeof(struct shared_handle));
    if (!count)
        return handles_grow(handles, HANDLES_FIRST);
    r = handles_map(handles, count);
    return r ? r : handles_adopt(handles);
}

void handles_close(struct handles *handles)
{
    if (handles->slots)
        munmap(handles->slots, (size_t)handles->count * sizeof(struct shared_handle));
    pollers_free(handles->pollers);
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

static void handles_unpoll(struct handles *handles, uint32_t index)
{
    pollers_remove(handles->pollers, index);
    handles->slots[index].poll = 0;
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

int handles_poll(struct handles *handles, uint64_t fh, uint64_t kh)
{
    struct shared_handle *slot = handles_get(handles, fh);
    if (!slot)
        return -EBADF;
    int r = handles_add_poller(handles, (uint32_t)fh);
    if (!r)
        slot->poll = kh + 1;
    return r;
}

void handles_wake(struct handles *handles, uint64_t node)
{
    pollers_mark(handles->pollers, node);
}

void handles_wake_all(struct handles *handles)
{
    pollers_mark_all(handles->pollers);
}

bool handles_any_to_wake(const struct handles *handles)
{
    return pollers_any_marked(handles->pollers);
}

/* The slot says that it is polled until it is woken: a next worker wakes it otherwise. */
void handles_wake_some(struct handles *handles, unsigned count, handles_wake_fn *wake,
                       void *context)
{
    for (; count; count--) {
        uint32_t index = pollers_next(handles->pollers);
        if (index == POLLERS_NONE)
            return;
        if (wake(context, &handles->slots[index]))
            handles_unpoll(handles, index);
    }
}
