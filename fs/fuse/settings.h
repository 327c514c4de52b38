/* SPDX-License-Identifier: Apache-2.0 */
/* Make the settings that the supervisor passes to a worker (WORKER_SETTINGS). */
#ifndef CHRONOS_FUSE_SETTINGS_H
#define CHRONOS_FUSE_SETTINGS_H

struct server;

/* Call it once the state is restored. They are durable when it returns; if they cannot be, the log
 * says so and none is made. */
void settings_make(struct server *server);

#endif
