/* SPDX-License-Identifier: Apache-2.0 */
/* Who descends from whom, in a list of processes that was read once: time n log n, whatever tree of
 * processes a user makes. */
#ifndef CHRONOS_PROCTRACK_KIN_H
#define CHRONOS_PROCTRACK_KIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum kin_is { KIN_UNKNOWN, KIN_ASKED, KIN_NO, KIN_YES };

struct kin {
    pid_t pid, ppid;
    uint64_t start;
    enum kin_is is;
};

/* Sort by pid. */
void kin_sort(struct kin *list, size_t count);
/* Return the entry of a sorted list, or NULL. */
struct kin *kin_find(struct kin *list, size_t count, pid_t pid);
/* In a sorted list, mark all whose parents lead to an entry marked KIN_YES, and all others
 * KIN_NO. */
void kin_mark(struct kin *list, size_t count);

#endif
