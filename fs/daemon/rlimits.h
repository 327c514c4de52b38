/* SPDX-License-Identifier: Apache-2.0 */
/* The resource limits of the user who starts the daemon, which must not become limits of the tree.
 */
#ifndef CHRONOS_DAEMON_RLIMITS_H
#define CHRONOS_DAEMON_RLIMITS_H

#include "core/base/message.h"

/* Raise the limits that could end the daemon or fail its commits, as far as permitted: its children
 * inherit them. Programs of users are no children of it. 0; or -errno and a message if too little
 * is left. */
int rlimits_raise(struct message *message);

#endif
