/* SPDX-License-Identifier: Apache-2.0 */
/* Code shared by the adapters; see adapter.h. */
#include "adapter.h"

#include <unistd.h>

void adapter_own_set(struct proctrack *proctrack, const struct proctrack_options *options)
{
    proctrack->own[0] = 1;
    proctrack->own[1] = getpid();
    proctrack->own[2] = options->supervisor > 0 ? options->supervisor : 1;
}

bool adapter_is_own(const struct proctrack *proctrack, pid_t pid)
{
    return pid == proctrack->own[0] || pid == proctrack->own[1] || pid == proctrack->own[2];
}
