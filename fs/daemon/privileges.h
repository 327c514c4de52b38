/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rights of the daemon's processes; docs/security.md says why each is kept. The process that
 * asks the drivers has its own, fewer (core/gpu/driver_process.c).
 */
#ifndef CHRONOS_DAEMON_PRIVILEGES_H
#define CHRONOS_DAEMON_PRIVILEGES_H

/* Call it once everything is mounted: before, drivers may have to load modules. */
void privileges_drop_supervisor(void);
/* Call it at the start of a worker, while it has one thread. */
void privileges_drop_worker(void);

#endif
