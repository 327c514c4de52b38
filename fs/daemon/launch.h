/* SPDX-License-Identifier: Apache-2.0 */
/* Start one worker. It must not know when and how often. */
#ifndef CHRONOS_DAEMON_LAUNCH_H
#define CHRONOS_DAEMON_LAUNCH_H

#include "supervisor.h"

#include <stdbool.h>
#include <sys/types.h>

/* Execute `program`, a descriptor, as a worker. Return its pid, or -errno. *ret_ready becomes
 * readable when it is ready. *ret_output is its stderr, or -1: it shares ours; only those before
 * the first ready one are relayed. */
pid_t launch_worker(const struct supervisor *given, int program, bool ever_ready, int *ret_ready,
                    int *ret_output);

#endif
