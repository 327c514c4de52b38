/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about errors of the tree, with the exit code that goes with each. */
#ifndef CHRONOS_TOOLS_FAILURE_H
#define CHRONOS_TOOLS_FAILURE_H

#include "tools/libchronos/chronos.h"

/* No tree was found: `path` and r as chronos_mount_open has them. Returns EXIT_NO_MOUNT. */
int failure_no_mount(const char *path, int r);
/* A write was refused with r: prints the filesystem's reason, or words for the error. Returns
 * EXIT_REFUSED. */
int failure_refused(const struct chronos_mount *mount, int r);
/* `what` failed with r. Returns EXIT_NO_MOUNT if the daemon has died, else EXIT_REFUSED. */
int failure_report(const struct chronos_mount *mount, const char *what, int r);
/* There is no partition or device of that name. Both return EXIT_UNKNOWN. */
int failure_no_partition(const char *text);
int failure_no_device(const char *text);

#endif
