/* SPDX-License-Identifier: Apache-2.0 */
/* Descendants in a list of processes; see kin.h. */
#include "kin.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    pid_t x = ((const struct kin *)a)->pid, y = ((const struct kin *)b)->pid;
    return (x > y) - (x < y);
}

void kin_sort(struct kin *list, size_t count)
{
    if (count > 0)
        qsort(list, count, sizeof(*list), compare);
}

struct kin *kin_find(struct kin *list, size_t count, pid_t pid)
{
    const struct kin key = {.pid = pid};
    return count == 0 ? NULL : bsearch(&key, list, count, sizeof(key), compare);
}

/* Follow the parents up until it is known, then say so of all on the way. */
static void mark(struct kin *list, size_t count, struct kin *from)
{
    enum kin_is is = from->is;
    for (struct kin *at = from; is == KIN_UNKNOWN;) {
        at->is = KIN_ASKED;
        struct kin *above = kin_find(list, count, at->ppid);
        if (!above || above->is == KIN_ASKED) /* a cycle: it changed while it was read */
            is = KIN_NO;
        else
            is = above->is;
        at = above;
    }
    for (struct kin *at = from; at && at->is == KIN_ASKED; at = kin_find(list, count, at->ppid))
        at->is = is;
}

void kin_mark(struct kin *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mark(list, count, &list[i]);
}
