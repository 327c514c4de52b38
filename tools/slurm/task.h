/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the process of a task before it becomes the user's program. */
#ifndef CHRONOS_SLURM_TASK_H
#define CHRONOS_SLURM_TASK_H

#include "core/base/message.h"
#include "headers.h"

/* Wait as the user until the partition, an open directory, starts; join it, and set its variables
 * in the task's environment. 0, or -errno and a sentence. */
int task_enter(spank_t spank, int directory, struct message *sentence);

#endif
