/* SPDX-License-Identifier: Apache-2.0 */
/* The list of adapters, and how to select one by its word; see proctrack.h. */
#include "adapter.h"
#include "proctrack.h"

#include "core/base/array.h"
#include "core/base/shortage.h"

#include <errno.h>
#include <string.h>

/* process-tree always works: record why it is only the second choice. */
static int open_auto(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                     struct message *message)
{
    struct message why = {""};
    int r = cgroup_open(options, ret_proctrack, &why);
    if (!r || shortage_is(r)) { /* the other would forget all members */
        *message = why;
        return r;
    }
    r = ptree_open(options, ret_proctrack, message);
    if (!r)
        (*ret_proctrack)->why = why;
    return r;
}

static const struct {
    const char *mode;
    proctrack_open_fn *open;
} modes[] = {
    {"auto", open_auto},
    {"cgroup", cgroup_open},
    {"process-tree", ptree_open},
    {"fake", fake_open},
};

static int checked(const struct proctrack_options *options, struct message *message)
{
    const char *instance = options->instance ? options->instance : "";
    if (strlen(instance) != PROCTRACK_INSTANCE_LEN ||
        strspn(instance, "0123456789abcdef") != PROCTRACK_INSTANCE_LEN)
        return message_set(-EINVAL, message,
                           "An instance is 16 characters of 0-9a-f, not \"%.32s\".", instance);
    return 0;
}

int proctrack_open(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                   struct message *message)
{
    const char *mode = options->mode ? options->mode : "auto";
    int r = checked(options, message);
    if (r)
        return r;
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        if (strcmp(modes[i].mode, mode) != 0)
            continue;
        message->text[0] = '\0';
        return modes[i].open(options, ret_proctrack, message);
    }
    return message_set(
        -EINVAL, message,
        "\"%.32s\" is not a process tracking mode; use auto, cgroup or process-tree.", mode);
}
