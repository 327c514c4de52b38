/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine has left for what processes have on a device. */
#ifndef CHRONOS_GPU_CHECKPOINT_HOST_H
#define CHRONOS_GPU_CHECKPOINT_HOST_H

#include "checkpoint.h"

/* Return what the machine has left, by /proc/meminfo. */
uint64_t checkpoint_machine_bytes(const char *proc);
/* Return how much more memory all these processes together can have, by what the machine has left
 * and by memory.max of their cgroups and of those above. Call it in a driver process: a user can
 * make looking up a path in the cgroup tree wait. */
uint64_t checkpoint_host_bytes(const char *proc, const struct checkpoint_answer *answer);

#endif
