/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the process-tree adapter: the records of members, stored in a mapped file,
 * and the scan that finds new members.
 */
#ifndef CHRONOS_PROCTRACK_PTREE_H
#define CHRONOS_PROCTRACK_PTREE_H

#include "adapter.h"
#include "core/base/procfs.h"

/* The only id of a process that left its partitions while its parent is in one. */
#define PTREE_OUTSIDE UINT64_MAX

/* One member. A free slot has no id. */
struct ptree_record {
    struct proctrack_set in;
    uint64_t start; /* with `pid`, identifies the process */
    uint64_t since; /* children that started before this (in ticks) do not belong */
    uint32_t pid;
    uint32_t frozen;
    uint64_t check; /* hash of the other fields, to detect a half-written record */
};

struct ptree_file {
    int fd;
    void *map;
    size_t map_bytes;
    struct ptree_record *records; /* in the map */
    size_t count;                 /* slots, free or not */
};

struct ptree {
    struct proctrack port;
    int proc_fd;
    struct ptree_file file;
    struct steps steps;
};

/* ptree_file.c. Open or create STATE_DIR/members. Drops records of an earlier boot, and damaged
 * ones with a message and result 0. If the file cannot be used (a full or read-only disk, an error,
 * a directory of that name), keeps records in memory only, with a message and result 0 as well. */
int ptree_file_open(struct ptree_file *file, const char *state_dir, const char *boot_id,
                    struct message *message);
void ptree_file_close(struct ptree_file *file);
/* Add a record, or update that of the same process; it survives the end of the daemon. May move the
 * records. Return 0, -ENOSPC, -ENOMEM and so on. */
int ptree_file_record_set(struct ptree_file *file, const struct ptree_record *record);
void ptree_file_record_drop(struct ptree_record *record);
/* Return NULL if there is none. */
struct ptree_record *ptree_file_record_find(const struct ptree_file *file, pid_t pid,
                                            uint64_t start);
bool ptree_file_is_empty(const struct ptree_file *file);

/* ptree_scan.c. Drop records of ended processes, add new descendants. */
int ptree_scan(struct ptree *ptree);
/* Look at the process of a record; *ret_stat (may be NULL) is its stat. -ESRCH: it has ended. With
 * another error it cannot be told, so the record must stay. */
int ptree_scan_look(const struct ptree *ptree, const struct ptree_record *record,
                    struct procfs_stat *ret_stat);
/* Send one signal to the process of a record, if it is alive. 0 or -errno. */
int ptree_scan_send(const struct ptree *ptree, const struct ptree_record *record, int signo);
void ptree_scan_find(struct proctrack *proctrack, pid_t pid, struct proctrack_set *ret_set);
/* Take a process, which a scan has seen, out of its partition, with its descendants there: all, or
 * those that `uid` owns. */
#define PTREE_ANY_UID UINT32_MAX
int ptree_scan_leave(struct ptree *ptree, const struct procfs_process *process, uint32_t uid);
/* True if a member of one of these partitions is frozen. */
bool ptree_scan_is_frozen(const struct ptree *ptree, const struct proctrack_set *in);

/* ptree_signal.c: implements proctrack_signal, proctrack_kill and proctrack_freeze. */
int ptree_signal(struct proctrack *proctrack, uint64_t id, int signo, bool now,
                 uint32_t *ret_count);
int ptree_signal_kill(struct proctrack *proctrack, uint64_t id, bool now);
int ptree_signal_freeze(struct proctrack *proctrack, uint64_t id, bool frozen);

#endif
