/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a write before it is executed; see write_check.h. */
#include "write_check.h"

#include "core/engine/request.h"
#include "fs/tree/caller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int write_check_line(const char *data, size_t size, size_t *ret_length, struct refusal *why)
{
    const char *problem = NULL;
    const size_t length = size - (size && size <= REQUEST_TEXT_MAX && data[size - 1] == '\n');
    if (size > REQUEST_TEXT_MAX) /* only the beginning of its data may be there */
        problem = "This line is too long; cat new shows the grammar of requests.";
    else if (memchr(data, '\n', length))
        problem = "Write one line at a time; this write had several.";
    else if (memchr(data, '\0', length))
        problem = "Write text; this line contains a zero byte.";
    if (problem) {
        snprintf(why->message, sizeof(why->message), "%s", problem);
        return REFUSED_INVALID;
    }
    *ret_length = length;
    return 0;
}

int write_check_writer(struct tree *tree, const struct node *node, struct write *write,
                       const struct shared_handle *handle)
{
    if (!tree_alive(tree, node)) {
        snprintf(write->why.message, sizeof(write->why.message), "p%llu has ended.",
                 (unsigned long long)node->object);
        return -ENODEV;
    }
    bool other_root = false;
    if (write->caller.uid == 0) /* the machine's root is known to be in the daemon's namespace */
        other_root = handle->ns !=
                     (write->caller.root ? tree->own_pid_ns : caller_namespace(write->caller.pid));
    if (handle->uid != write->caller.uid || other_root) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "Permission denied: this file was opened by another user. Open it yourself.");
        return REFUSED_PERMISSION;
    }
    /* The partition may have changed hands since the file was opened. */
    write->caller.by_mode = write->caller.uid != 0 && tree_may_write(tree, node, &write->caller);
    if (!write->caller.root && write->caller.uid != 0 && !write->caller.by_mode) {
        snprintf(write->why.message, sizeof(write->why.message),
                 "Permission denied: this file has become read-only for you since it was opened. "
                 "In a user namespace, only the group that the program runs as counts.");
        return REFUSED_PERMISSION;
    }
    return 0;
}
