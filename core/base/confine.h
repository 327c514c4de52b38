/* SPDX-License-Identifier: Apache-2.0 */
/* Give up what a process never needs, for good: it and its children cannot get it back. */
#ifndef CHRONOS_BASE_CONFINE_H
#define CHRONOS_BASE_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#define CONFINE_CAP(number) ((uint64_t)1 << (number))

/* Drop every capability that is not in `permitted`, also from the bounding set, and leave only
 * those of `effective` in effect. Those of `permitted` that are not can return by executing a
 * program as root. Without the privilege to change the bounding set, it stays. 0 or -errno. */
int confine_capabilities(uint64_t permitted, uint64_t effective);
/* No program that this process executes gets more rights, by setuid or file capabilities. */
void confine_no_new_privileges(void);
/* Refuse, with EPERM, system calls that no part of chronosfs makes: for modules, kexec, BPF,
 * tracing, keys, io_uring, swap, clocks; with `mounts` also those for mounts and namespaces. Needs
 * no new privileges, and a kernel with seccomp. 0 or -errno. */
int confine_calls(bool mounts);

#endif
