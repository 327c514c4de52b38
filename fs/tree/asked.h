/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request as it is asked of the engine: its words with their meaning at this moment. Users, local
 * time and ranks are resolved here. It must not know what happens to the request.
 */
#ifndef CHRONOS_TREE_ASKED_H
#define CHRONOS_TREE_ASKED_H

#include "files.h"
#include "series.h"

struct asked {
    struct request request;
    struct creation creation; /* points to `request` of the same struct: do not copy it */
    struct creation_terms terms;
    bool has_terms; /* else engine_create */
    /* what repeats: all starts, in order; start_count 0: it does not */
    int64_t starts_ns[SERIES_MAX];
    size_t start_count;
};

/* Read the line in `write`, for a device or ENGINE_DEVICE_ANY. 0, a refusal with a message, or
 * -EAGAIN while a name is looked up. */
int asked_read(struct tree *tree, struct write *write, uint32_t device, struct asked *ret_asked);
/* Return whether it would be accepted now, with the record that it would get, or why not. */
int asked_check(struct tree *tree, struct write *write, const struct asked *asked,
                struct partition *ret_partition);

#endif
