/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the fake tracker: its processes. */
#ifndef CHRONOS_PROCTRACK_FAKE_PROCESS_H
#define CHRONOS_PROCTRACK_FAKE_PROCESS_H

#include "adapter.h"

#define SIGNALS_MAX 65
#define FAKE_CLAIMS 16

struct fake_process {
    struct procfs_process process;
    pid_t parent;
    struct proctrack_set in;
    char cgroup[64];
    bool zombie, ended, stuck, doomed; /* doomed: killed while stuck */
    unsigned pending[SIGNALS_MAX], delivered[SIGNALS_MAX];
};

struct fake_partition {
    uint64_t id;
    bool frozen;
};

struct fake {
    struct proctrack port;
    struct fake_process *processes; /* the last entry of a pid is the newest */
    size_t process_count, process_capacity;
    struct fake_partition *partitions; /* sorted by id */
    size_t partition_count, partition_capacity;
    struct {
        uint64_t id;
        char path[64];
    } claims[FAKE_CLAIMS];
    size_t claim_count;
    pid_t next_pid;
    uint64_t ticks;
};

/* Return the newest process of a pid that has not ended, or NULL; the second: and is no zombie. */
struct fake_process *fake_process_find(const struct fake *fake, pid_t pid);
struct fake_process *fake_process_living(const struct fake *fake, pid_t pid);
/* Find what it joined, and what its cgroup belongs to. */
struct proctrack_set fake_process_set(const struct fake *fake, const struct fake_process *p);
bool fake_process_is_member(const struct fake *fake, const struct fake_process *p, uint64_t id);
bool fake_process_is_frozen(const struct fake *fake, const struct fake_process *p);

#endif
