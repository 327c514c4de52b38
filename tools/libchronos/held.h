/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open files that hold partitions. Without a lock: a program that forks while another thread
 * uses the list has a list that works.
 */
#ifndef CHRONOS_LIBCHRONOS_HELD_H
#define CHRONOS_LIBCHRONOS_HELD_H

#include "core/base/fd.h"

#include <stdatomic.h>
#include <stdint.h>

struct held {
    struct held *next;   /* set once */
    _Atomic uint64_t id; /* of the partition, or a mark that it is free or being changed */
    int fd;
    struct fd_identity file; /* of fd */
};
struct held_list {
    struct held *_Atomic first;
};

/* Make room for one more. 0 or -ENOMEM. The caller gives *ret_place to one of the next two. */
int held_reserve(struct held_list *list, struct held **ret_place);
/* Keep `fd`, which holds partition `id`. */
void held_keep(struct held *place, uint64_t id, int fd);
void held_cancel(struct held *place);
/* Close what holds partition `id`, if anything does. */
void held_close(struct held_list *list, uint64_t id);
/* Close and free all. */
void held_free(struct held_list *list);

/* Close `fd` if it is still `file`: programs close descriptors that they do not know, and open
 * others. */
void held_close_file(int fd, const struct fd_identity *file);

#endif
