/* SPDX-License-Identifier: Apache-2.0 */
/* Drop rights; see privileges.h. */
#include "privileges.h"

#include "core/base/confine.h"

#include <linux/capability.h>
#include <unistd.h>

/* Act on the machine: restrict and restore device nodes (CHOWN, FOWNER), signal programs of all
 * users (KILL), find out whose they are and what they use (SYS_PTRACE, DAC_READ_SEARCH), write
 * cgroups and ACLs that users own (DAC_OVERRIDE). */
#define OF_WORKER                                                                                  \
    (CONFINE_CAP(CAP_CHOWN) | CONFINE_CAP(CAP_FOWNER) | CONFINE_CAP(CAP_DAC_OVERRIDE) |            \
     CONFINE_CAP(CAP_DAC_READ_SEARCH) | CONFINE_CAP(CAP_KILL) | CONFINE_CAP(CAP_SYS_PTRACE))
/* Unmount; in a driver process, mount a read-only /dev and drop the rest (SETPCAP). */
#define OF_SUPERVISOR (OF_WORKER | CONFINE_CAP(CAP_SYS_ADMIN) | CONFINE_CAP(CAP_SETPCAP))

void privileges_drop_supervisor(void)
{
    if (geteuid() != 0)
        return; /* it unmounts by fusermount3, which is setuid */
    confine_no_new_privileges();
    confine_capabilities(OF_SUPERVISOR, OF_SUPERVISOR);
}

void privileges_drop_worker(void)
{
    confine_no_new_privileges();
    confine_capabilities(OF_SUPERVISOR, OF_WORKER);
    confine_calls(false);
}
