/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the process-tree adapter share: the records of members, which lie
 * in a mapped file as they are, and the scan that finds new ones.
 */
#ifndef CHRONOS_PROCTRACK_PTREE_H
#define CHRONOS_PROCTRACK_PTREE_H

#include "adapter.h"
#include "core/base/procfs.h"

/* One member. A free place has id 0. */
struct ptree_record {
    uint64_t id;
    uint64_t start; /* with pid: which process */
    uint64_t since; /* children that started earlier (in ticks) do not belong */
    uint32_t pid;
    uint32_t frozen;
    uint64_t check; /* over the others: one that was half written does not fit */
};

struct ptree_file {
    int fd;
    void *map;
    size_t map_bytes;
    struct ptree_record *records; /* in the map */
    size_t count;                 /* places, free or not */
};

struct ptree {
    struct proctrack port;
    int proc_fd;
    struct ptree_file file;
    struct steps steps;
};

/* ptree_file.c. Opens or creates STATE_DIR/members. Records of another boot are dropped;
 * what is damaged too, with a message and result 0. Where the disk is full or cannot be
 * written, from then on they are kept in memory only, and the same is told. */
int ptree_file_open(struct ptree_file *file, const char *state_dir, const char *boot_id,
                    struct message *message);
void ptree_file_close(struct ptree_file *file);
/* Adds a record or changes the one of the same process; durable against the end of the
 * daemon. May move the records. -ENOSPC, -ENOMEM ... */
int ptree_record_set(struct ptree_file *file, const struct ptree_record *record);
void ptree_record_drop(struct ptree_record *record);
/* NULL if there is none. */
struct ptree_record *ptree_record_find(const struct ptree_file *file, pid_t pid, uint64_t start);
bool ptree_is_empty(const struct ptree_file *file);

/* ptree_scan.c. Drops records of processes that ended, adds new descendants. */
int ptree_scan(struct ptree *ptree);
/* Whether the process of a record lives; the stat (may be NULL) is of it then. */
bool ptree_lives(const struct ptree *ptree, const struct ptree_record *record,
                 struct procfs_stat *ret_stat);
/* Sends one signal to the process of a record, if it lives. */
int ptree_send(const struct ptree *ptree, const struct ptree_record *record, int signo);
uint64_t ptree_partition_of(struct proctrack *proctrack, pid_t pid);
bool ptree_is_frozen(const struct ptree *ptree, uint64_t id);

/* ptree_signal.c: proctrack_signal, proctrack_kill, proctrack_freeze. */
int ptree_signal(struct proctrack *proctrack, uint64_t id, int signo, uint32_t *ret_count);
int ptree_kill(struct proctrack *proctrack, uint64_t id);
int ptree_freeze(struct proctrack *proctrack, uint64_t id, bool frozen);

#endif
