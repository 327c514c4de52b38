/* SPDX-License-Identifier: Apache-2.0 */
/* Print messages about errors of the tree, and return the matching exit code. */
#ifndef CHRONOS_TOOLS_FAILURE_H
#define CHRONOS_TOOLS_FAILURE_H

#include "tools/libchronos/client.h"

/* Report that no tree was found; `path` and r come from chronos_mount_open. Return
 * EXIT_NO_MOUNT. */
int failure_no_mount(const char *path, int r);
/* Report that the write of a request failed with r: print the filesystem's reason, or a text for
 * the error. Return EXIT_NO_MOUNT if the daemon has died, else EXIT_REFUSED. */
int failure_refused(const struct chronos_mount *mount, int r);
/* Report that `what` failed with r. Return EXIT_NO_MOUNT if the daemon has died, else
 * EXIT_REFUSED. */
int failure_report(const struct chronos_mount *mount, const char *what, int r);
/* Report that `what` failed with r for partition `id`: it has ended, or its owner or its mode keeps
 * the caller out, or another reason. Return EXIT_UNKNOWN if it has ended, else as
 * failure_report. */
int failure_partition(const struct chronos_mount *mount, const char *id, const char *what, int r);
/* What a listing leaves out, so that one entry does not spoil the rest. */
struct failure_skipped {
    char text[512];
    size_t more; /* entries that the text has no room for */
    bool failed; /* for another reason than that the owner hides it: by its mode, by a mount over
                  * it, or by a lease. So no user can make the listings of others fail. */
};
void failure_skip(struct failure_skipped *skipped, const char *name, int r);
/* Report all of them in one line. Return EXIT_REFUSED if one failed, else EXIT_DONE. */
int failure_report_skipped(const struct failure_skipped *skipped);
/* Report an unknown partition, and how it ended if `history` tells. Return EXIT_UNKNOWN. */
int failure_no_partition(const struct chronos_mount *mount, const char *text);
/* Report an unknown device, and which there are in `mount` (may be NULL). Return EXIT_UNKNOWN. */
int failure_no_device(const struct chronos_mount *mount, const char *name);

#endif
