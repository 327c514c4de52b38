/* SPDX-License-Identifier: Apache-2.0 */
/* Keep open files; see held.h. Places are freed with the list only, and used again before. */
#include "held.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* No ids: those have 18 digits at most. */
#define HELD_FREE UINT64_MAX
#define HELD_BUSY (UINT64_MAX - 1)

int held_reserve(struct held_list *list, struct held **ret_place)
{
    for (struct held *place = atomic_load(&list->first); place; place = place->next) {
        uint64_t none = HELD_FREE;
        if (atomic_compare_exchange_strong(&place->id, &none, HELD_BUSY)) {
            *ret_place = place;
            return 0;
        }
    }
    struct held *place = malloc(sizeof(*place));
    if (!place)
        return -ENOMEM;
    atomic_init(&place->id, HELD_BUSY);
    place->next = atomic_load(&list->first);
    while (!atomic_compare_exchange_weak(&list->first, &place->next, place))
        ;
    *ret_place = place;
    return 0;
}

void held_keep(struct held *place, uint64_t id, int fd)
{
    place->fd = fd;
    if (fd_identify(fd, "", &place->file) < 0)
        place->file = (struct fd_identity){0};
    atomic_store(&place->id, id);
}

void held_cancel(struct held *place)
{
    atomic_store(&place->id, HELD_FREE);
}

void held_close_file(int fd, const struct fd_identity *file)
{
    struct fd_identity now;
    if (fd >= 0 && !fd_identify(fd, "", &now) && now.inode == file->inode &&
        now.device == file->device)
        close(fd);
}

void held_close(struct held_list *list, uint64_t id)
{
    for (struct held *place = atomic_load(&list->first); place; place = place->next) {
        uint64_t wanted = id;
        if (!atomic_compare_exchange_strong(&place->id, &wanted, HELD_BUSY))
            continue;
        held_close_file(place->fd, &place->file);
        atomic_store(&place->id, HELD_FREE);
        return;
    }
}

void held_free(struct held_list *list)
{
    struct held *place = atomic_exchange(&list->first, NULL), *next;
    for (; place; place = next) {
        next = place->next;
        if (atomic_load(&place->id) != HELD_FREE)
            held_close_file(place->fd, &place->file);
        free(place);
    }
}
