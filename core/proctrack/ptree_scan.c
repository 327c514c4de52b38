/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scan all processes for descendants of members, by following parents upwards. A scan is not
 * atomic: processes start and end while it reads. So read each new descendant a second time, after
 * its parent.
 */
#include "kin.h"
#include "ptree.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/pidfd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAIN_MAX 100000 /* longer than any real chain of parents */

struct entry {
    struct procfs_stat stat;
    const struct entry *parent; /* set while its chain is followed */
    struct proctrack_set in;
    uint64_t since;
    bool known, frozen;
};

struct scan {
    struct ptree *ptree;
    struct entry *entries; /* sorted by pid */
    size_t count, capacity;
    bool wrapped; /* pids wrapped around during the scan */
};

int ptree_scan_look(const struct ptree *ptree, const struct ptree_record *record,
                    struct procfs_stat *ret_stat)
{
    struct procfs_stat stat;
    int r = procfs_stat_read(ptree->proc_fd, (pid_t)record->pid, &stat);
    if (!r && (stat.start != record->start || procfs_stat_gone(&stat)))
        r = -ESRCH;
    if (!r && ret_stat)
        *ret_stat = stat;
    return r;
}

int ptree_scan_send(const struct ptree *ptree, const struct ptree_record *record, int signo)
{
    steps_before(&ptree->steps, "signal");
    int pidfd = pidfd_new((pid_t)record->pid);
    if (pidfd < 0)
        return pidfd;
    int r = ptree_scan_look(ptree, record, NULL);
    if (!r)
        r = pidfd_send(pidfd, signo);
    fd_close(pidfd);
    return r;
}

static bool is_frozen(const struct ptree *ptree, uint64_t id)
{
    for (size_t i = 0; i < ptree->file.count; i++) {
        if (ptree->file.records[i].frozen && proctrack_set_has(&ptree->file.records[i].in, id))
            return true;
    }
    return false;
}

bool ptree_scan_is_frozen(const struct ptree *ptree, const struct proctrack_set *in)
{
    for (size_t i = 0; i < PROCTRACK_SET_MAX && in->ids[i] != 0; i++) {
        if (is_frozen(ptree, in->ids[i]))
            return true;
    }
    return false;
}

/* The pid assigned last. */
static long last_pid(const struct ptree *ptree)
{
    char text[128];
    if (fd_read_text(ptree->proc_fd, "loadavg", text, sizeof(text)) <= 0)
        return -1;
    const char *at = strrchr(text, ' ');
    return at ? atol(at) : -1;
}

static int entry_add(struct scan *scan, const struct procfs_stat *stat)
{
    if (array_reserve(scan->entries, scan->capacity, scan->count + 1))
        return -ENOMEM;
    scan->entries[scan->count++] = (struct entry){.stat = *stat};
    return 0;
}

static int compare(const void *a, const void *b)
{
    pid_t x = ((const struct entry *)a)->stat.pid, y = ((const struct entry *)b)->stat.pid;
    return (x > y) - (x < y);
}

/* Read all processes. Fail if one cannot be read: it would be taken for one that has ended. */
static int read_all(struct scan *scan)
{
    struct procfs_stat stat;
    int r = 0, fd = openat(scan->ptree->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        r = -errno;
        fd_close(fd);
        return r;
    }
    long before = last_pid(scan->ptree);
    errno = 0;
    for (struct dirent *entry; !r && (entry = readdir(directory)); errno = 0) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        r = procfs_stat_read(scan->ptree->proc_fd, atoi(entry->d_name), &stat);
        r = r == -ESRCH ? 0 : r ? r : entry_add(scan, &stat);
    }
    r = r ? r : -errno;
    closedir(directory);
    steps_before(&scan->ptree->steps, "read");
    long after = last_pid(scan->ptree);
    scan->wrapped = before < 0 || after < before;
    if (scan->count > 0)
        qsort(scan->entries, scan->count, sizeof(*scan->entries), compare);
    return r;
}

static struct entry *entry_find(const struct scan *scan, pid_t pid)
{
    struct entry key = {.stat = {.pid = pid}};
    return scan->count == 0
               ? NULL
               : bsearch(&key, scan->entries, scan->count, sizeof(*scan->entries), compare);
}

/* Match the records with the scanned processes. */
static void records_match(struct scan *scan)
{
    struct ptree_file *file = &scan->ptree->file;
    for (size_t i = 0; i < file->count; i++) {
        struct ptree_record *record = &file->records[i];
        if (record->in.ids[0] == 0)
            continue;
        struct entry *entry = entry_find(scan, (pid_t)record->pid);
        if (!entry || entry->stat.start != record->start || procfs_stat_gone(&entry->stat)) {
            ptree_file_record_drop(record);
            continue;
        }
        entry->known = true;
        if (record->in.ids[0] != PTREE_OUTSIDE)
            entry->in = record->in;
        entry->since = record->since;
        entry->frozen = record->frozen != 0;
    }
}

/* True if `stat` is the parent of `child`: it was when the child was read before, and it still is,
 * so it also was in between, when the parent was read. */
static bool is_parent(const struct ptree *ptree, const struct procfs_stat *stat,
                      const struct procfs_stat *child)
{
    struct procfs_stat again;
    return child->ppid == stat->pid && child->start >= stat->start &&
           procfs_stat_read(ptree->proc_fd, child->pid, &again) == 0 &&
           again.start == child->start && again.ppid == stat->pid;
}

/* True if the entry's parent is the real one. A parent that has ended since counts if it was read
 * first and no pid can have been reused since. */
static bool parent_holds(const struct scan *scan, const struct entry *parent,
                         const struct entry *child)
{
    struct procfs_stat now;
    if (procfs_stat_read(scan->ptree->proc_fd, parent->stat.pid, &now) == 0 &&
        now.start == parent->stat.start && is_parent(scan->ptree, &now, &child->stat))
        return true;
    return !scan->wrapped && parent->stat.pid < child->stat.pid &&
           parent->stat.start <= child->stat.start;
}

static bool inherits(const struct scan *scan, const struct entry *parent, const struct entry *child)
{
    return parent->in.ids[0] != 0 && !procfs_stat_gone(&child->stat) &&
           child->stat.start >= parent->since && parent_holds(scan, parent, child);
}

/* Follow parents up from an entry until one is known, then pass its partitions down. */
static int resolve(const struct scan *scan, struct entry *entry)
{
    struct entry *chain = NULL, *next;
    size_t length = 0;
    int r = 0;
    for (; entry && !entry->known && length < CHAIN_MAX; entry = next, length++) {
        next = entry->stat.ppid <= 1 || adapter_is_own(&scan->ptree->port, entry->stat.pid) ||
                       procfs_stat_gone(&entry->stat)
                   ? NULL
                   : entry_find(scan, entry->stat.ppid);
        entry->known = true; /* also breaks a cycle, which changes during the scan can create */
        entry->parent = chain;
        chain = entry;
    }
    for (; !r && chain; entry = chain, chain = next) {
        next = (struct entry *)chain->parent;
        if (!entry || !inherits(scan, entry, chain))
            continue;
        chain->in = entry->in;
        chain->frozen = entry->frozen;
        struct ptree_record record = {.in = chain->in,
                                      .pid = (uint32_t)chain->stat.pid,
                                      .start = chain->stat.start,
                                      .frozen = chain->frozen};
        r = ptree_file_record_set(&scan->ptree->file, &record);
        if (!r && chain->frozen)
            ptree_scan_send(scan->ptree, &record, SIGSTOP);
    }
    return r;
}

int ptree_scan(struct ptree *ptree)
{
    struct scan scan = {.ptree = ptree};
    if (ptree_file_is_empty(&ptree->file))
        return 0;
    int r = read_all(&scan);
    if (!r)
        records_match(&scan);
    for (size_t i = 0; !r && i < scan.count; i++)
        r = resolve(&scan, &scan.entries[i]);
    free(scan.entries);
    return r;
}

void ptree_scan_find(struct proctrack *proctrack, pid_t pid, struct proctrack_set *ret_set)
{
    const struct ptree *ptree = (const struct ptree *)proctrack;
    struct procfs_stat stat, parent;
    int length = 0;
    if (procfs_stat_read(ptree->proc_fd, pid, &stat) != 0 || procfs_stat_gone(&stat))
        return;
    const struct ptree_record *record = ptree_file_record_find(&ptree->file, pid, stat.start);
    for (uint64_t born = stat.start; !record && length < CHAIN_MAX; length++) {
        if (stat.ppid <= 1 || adapter_is_own(proctrack, stat.pid) ||
            procfs_stat_read(ptree->proc_fd, stat.ppid, &parent) != 0 ||
            !is_parent(ptree, &parent, &stat))
            return;
        born = stat.start;
        stat = parent;
        record = ptree_file_record_find(&ptree->file, stat.pid, stat.start);
        if (record && born < record->since)
            return;
    }
    if (record && record->in.ids[0] != PTREE_OUTSIDE)
        *ret_set = record->in;
}

static int let_out(struct ptree *ptree, struct ptree_record record)
{
    const bool frozen = record.frozen;
    record.in = (struct proctrack_set){{PTREE_OUTSIDE}};
    record.since = record.frozen = 0;
    if (frozen)
        ptree_scan_send(ptree, &record, SIGCONT);
    return ptree_file_record_set(&ptree->file, &record);
}

/* The processes of the machine, with the descendants of `pid` marked. */
static int kin_read(struct scan *scan, pid_t pid, struct kin **ret_list)
{
    int r = read_all(scan);
    struct kin *list = r ? NULL : calloc(scan->count + 1, sizeof(*list));
    for (size_t i = 0; list && i < scan->count; i++) {
        const struct procfs_stat *stat = &scan->entries[i].stat;
        list[i] = (struct kin){.pid = stat->pid,
                               .ppid = stat->ppid,
                               .start = stat->start,
                               .is = stat->pid == pid ? KIN_YES : KIN_UNKNOWN};
    }
    if (!list)
        return r ? r : -ENOMEM;
    kin_mark(list, scan->count);
    *ret_list = list;
    return 0;
}

static bool may_leave(const struct ptree *ptree, const struct ptree_record *record, uint32_t uid)
{
    struct procfs_process now;
    if (procfs_process_read(ptree->proc_fd, (pid_t)record->pid, &now, NULL) != 0 ||
        now.start != record->start)
        return false;
    return uid == PTREE_ANY_UID || (now.uid == uid && now.euid == uid && now.suid == uid);
}

/* Each keeps a record, because its parent may be a member. */
int ptree_scan_leave(struct ptree *ptree, const struct procfs_process *process, uint32_t uid)
{
    const struct ptree_record *own =
        ptree_file_record_find(&ptree->file, process->pid, process->start);
    const struct proctrack_set in = own ? own->in : (struct proctrack_set){{PTREE_OUTSIDE}};
    struct scan scan = {.ptree = ptree};
    struct kin *list = NULL;
    int r = in.ids[0] == PTREE_OUTSIDE ? 0 : kin_read(&scan, process->pid, &list);
    for (size_t i = 0; !r && list && i < ptree->file.count; i++) {
        const struct ptree_record record = ptree->file.records[i];
        const struct kin *kin = proctrack_set_is_equal(&record.in, &in)
                                    ? kin_find(list, scan.count, (pid_t)record.pid)
                                    : NULL;
        if (kin && kin->is == KIN_YES && kin->start == record.start &&
            may_leave(ptree, &record, uid))
            r = let_out(ptree, record);
    }
    free(list);
    free(scan.entries);
    return r;
}
