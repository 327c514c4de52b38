/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the process-tree adapter share: the records of members, which lie
 * in a mapped file as they are, and the scan that finds new ones.
 */
#ifndef CHRONOS_ENFORCER_TREE_H
#define CHRONOS_ENFORCER_TREE_H

#include "private.h"
#include "proc.h"

/* One member. A free place has id 0. */
struct tree_record {
    uint64_t id;
    uint64_t start; /* with pid: which process */
    uint64_t since; /* children that started earlier (in ticks) do not belong */
    uint32_t pid;
    uint32_t frozen;
    uint64_t check; /* over the others: one that was half written does not fit */
};

struct tree_file {
    int fd;
    void *map;
    size_t map_bytes;
    struct tree_record *records; /* in the map */
    size_t count;                /* places, free or not */
};

struct tree {
    struct enforcer port;
    int proc_fd;
    struct tree_file file;
    void (*before_step)(void *context, const char *step);
    void *context;
};

/* For tests. */
static inline void tree_step(const struct tree *tree, const char *name)
{
    if (tree->before_step != NULL)
        tree->before_step(tree->context, name);
}

/* tree_file.c. Opens or creates STATE_DIR/members. Records of another boot are dropped;
 * what is damaged too, with a sentence and result 0. Where the disk is full or cannot be
 * written, from then on they are kept in memory only, and the same is told. */
int tree_file_open(struct tree_file *file, const char *state_dir, const char *boot_id,
                   char *sentence, size_t size);
void tree_file_close(struct tree_file *file);
/* Adds a record or changes the one of the same process; durable against the end of the
 * daemon. May move the records. -ENOSPC, -ENOMEM ... */
int tree_record_set(struct tree_file *file, const struct tree_record *record);
void tree_record_drop(struct tree_record *record);
/* NULL if there is none. */
struct tree_record *tree_record_find(const struct tree_file *file, pid_t pid, uint64_t start);
bool tree_is_empty(const struct tree_file *file);

/* tree_scan.c. Drops records of processes that ended, adds new descendants. */
int tree_scan(struct tree *tree);
/* Whether the process of a record lives; the stat (may be NULL) is of it then. */
bool tree_lives(const struct tree *tree, const struct tree_record *record,
                struct proc_stat *ret_stat);
uint64_t tree_partition_of(struct enforcer *enforcer, pid_t pid);
bool tree_is_frozen(const struct tree *tree, uint64_t id);

/* tree_signal.c: enforcer_signal, enforcer_kill, enforcer_freeze; and one signal to the
 * process of a record, if it lives. */
int tree_signal(struct enforcer *enforcer, uint64_t id, int signo, uint32_t *ret_count);
int tree_kill(struct enforcer *enforcer, uint64_t id);
int tree_freeze(struct enforcer *enforcer, uint64_t id, bool frozen);
int tree_send(const struct tree *tree, const struct tree_record *record, int signo);

#endif
