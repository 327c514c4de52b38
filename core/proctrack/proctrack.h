/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process tracker port: which processes belong to a partition, and how to act on them. It must
 * not know what a partition is (a number other than 0), who may join one or when one ends: the
 * caller decides all that.
 *
 *     proctrack_open(&options, &proctrack, &message);
 *     proctrack_each(proctrack, fn, context);          after a restart: what exists
 *     proctrack_look(proctrack, pid, &process);        identify it: may the caller do that?
 *     proctrack_join(proctrack, &set, account, &process, &message);
 *     proctrack_signal(proctrack, 1, SIGTERM, false, &count);    repeat while -EAGAIN
 *     proctrack_kill(proctrack, 1, false);             the same
 *     proctrack_forget(proctrack, 1);                  repeat while -EBUSY
 *     proctrack_close(proctrack);                      leaves the processes as they are
 *
 * A process belongs to a set of partitions: none, one, or several at a time (on one device each,
 * but that is the caller's business). The processes it starts from then on belong to them too, and
 * their children, whatever user they run as; children it had before do not. Only proctrack_join
 * gives a process another set, and only proctrack_leave takes it out. One that another daemon
 * starts on its behalf (cron, dockerd, systemd-run) does not belong.
 *
 * Adapters, by their word:
 * cgroup        cgroup v2 with cgroup.kill (Linux 5.14), as root. The kernel tracks the members:
 *               only root can leave, nothing is missed, kill leaves none.
 * process-tree  needs nothing, works for any user with their own processes. Finds descendants by
 *               their parent: a process that loses its parent unseen, between two calls of
 *               proctrack_scan, is lost. See ptree.c.
 * fake          in memory, for tests: see fake.h.
 *
 * One thread uses a process tracker. Calls read /proc or the cgroup tree. None waits for a process:
 * where one must stop first, the call asks for that and returns -EAGAIN or -EBUSY, and the caller
 * comes back, because a program that hangs in the kernel (state D) stops when its user likes. Only
 * proctrack_join under cgroup waits, for the kernel: it moves no process while any is inside fork
 * or exec. In the cgroup tree, where users can hold the locks of directories, only children look
 * paths up, and make and remove directories.
 *
 * Functions return 0, a count where documented, or -errno. A partition that no process ever joined
 * is not an error: it has no members.
 */
#ifndef CHRONOS_PROCTRACK_PROCTRACK_H
#define CHRONOS_PROCTRACK_PROCTRACK_H

#include "core/base/message.h"
#include "core/base/procfs.h"
#include "core/base/steps.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCTRACK_INSTANCE_LEN 16

struct proctrack;

/* The partitions of a process in ascending order, then zeros. All zero: none. */
#define PROCTRACK_SET_MAX 8
struct proctrack_set {
    uint64_t ids[PROCTRACK_SET_MAX];
};

bool proctrack_set_has(const struct proctrack_set *set, uint64_t id);
/* -E2BIG: it is full. */
int proctrack_set_add(struct proctrack_set *set, uint64_t id);
bool proctrack_set_is_equal(const struct proctrack_set *a, const struct proctrack_set *b);

/* Return whether partition `id` is this account's. */
typedef bool proctrack_owns_fn(void *context, uint64_t id, uint32_t account);

/* Texts are copied or used only during proctrack_open. NULL or 0 selects the default, where one is
 * given. */
struct proctrack_options {
    /* 16 characters of 0-9a-f that distinguish this daemon's cgroups from those of others on the
     * machine: the same after a restart, different for every state directory. */
    const char *instance;
    const char *state_dir; /* process-tree keeps the file "members" here; must exist */
    const char *mode;      /* "auto" (default: cgroup, else process-tree), or the word of one */
    pid_t supervisor;      /* never joins, like the caller's own process and pid 1; 0: none */
    /* Those who join partitions of others get half of what is bounded in one. NULL: all are own. */
    proctrack_owns_fn *owns;
    void *owns_context;

    const char *proc;    /* default: the procfs in use, see procfs.h */
    const char *cgroup;  /* a mount of cgroup2; default: a usable one that shows most */
    const char *boot_id; /* default: that of the machine */
    /* For tests: called with "open", "make", "move" and "moved" in a join, "leave", "move" and
     * "moved" when a process leaves, "remove" before a cgroup is removed, "signal" before each
     * signal, "search" before each directory of the cgroup tree, and more in ptree_*.c. Only the
     * result of "search" counts. */
    struct steps steps;
};

/* Open the adapter that `mode` selects. The caller closes it. Return 0, or -errno with a message:
 * -EINVAL (invalid options), the reason why "cgroup" does not work (-ENOENT no mount, -EROFS,
 * -EPERM not root, -EOPNOTSUPP the kernel is too old), or why the file in state_dir cannot be used.
 * `message` can also be set with result 0 (the file was damaged, so members were lost); otherwise
 * it is "". */
int proctrack_open(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                   struct message *message);
/* Free the memory; processes stay where they are, frozen or not. Accepts NULL; returns NULL. */
struct proctrack *proctrack_close(struct proctrack *proctrack);
/* "cgroup", "process-tree" or "fake". */
const char *proctrack_word(const struct proctrack *proctrack);
/* Why "auto" did not select cgroup, as one message; "" if it did, or if another mode was given. */
const char *proctrack_why(const struct proctrack *proctrack);

/* Read the data the caller needs to decide whether a process may join, all from the same process.
 * Return 0; -ESRCH if there is no such process, or it has ended and is a zombie; -EINVAL if `pid`
 * is a thread but not a process (see proctrack_leader), a kernel thread, or not positive. */
int proctrack_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process);
/* Return the process that thread `tid` belongs to, or -ESRCH. FUSE reports the calling thread,
 * which need not be the first of its process. */
pid_t proctrack_leader(struct proctrack *proctrack, pid_t tid);

/* Move `process` to the partitions of `set`, out of any other; repeating it is harmless. Joining a
 * frozen partition freezes the process. What waits in the kernel for users counts for `account`,
 * and there is a limit for each. Changes nothing on an error:
 * -ESRCH  it ended, or the pid belongs to another process by now
 * -EAGAIN its user ids are no longer those of `process` (it ran a setuid program): look and
 *         decide again
 * -EPERM  it is pid 1, the daemon, or its supervisor, or the kernel does not permit it
 * -EXDEV  it is in a part of the cgroup tree that cannot be seen from here
 * -EINPROGRESS  the directory for its cgroup is held by another process: call again
 * -EUSERS  the members of one of the partitions are in too many different sets (see `owns`)
 * other   from the kernel: no memory, a limit on cgroups or open files, no disk space
 * All but -ESRCH and -EAGAIN set `message`. */
int proctrack_join(struct proctrack *proctrack, const struct proctrack_set *set, uint32_t account,
                   const struct procfs_process *process, struct message *message);

/* Take `process` out of its partitions, back to the cgroup it came from, together with those of its
 * descendants that are in the same, as parents lead to them: all of them, or those with its user
 * ids. What waits counts for `account`. Also 0 if it is in no partition. Errors: -ESRCH, -EAGAIN
 * and -EINPROGRESS as above; others set `message`, and then it is still a member. */
int proctrack_leave(struct proctrack *proctrack, uint32_t account,
                    const struct procfs_process *process, bool all, struct message *message);

/* End a proctrack_leave of `process` that is in progress: it stays, unless it has left already. */
void proctrack_stay(struct proctrack *proctrack, const struct procfs_process *process);

/* Say for which account the traces count that proctrack_open found of a partition. */
void proctrack_account(struct proctrack *proctrack, uint64_t id, uint32_t account);

typedef void proctrack_member_fn(void *context, pid_t pid);
/* Call fn (may be NULL) for each member, in ascending order of pid. Zombies are not members; a
 * process whose first thread has ended while others run is one. Return the count or -errno.
 * cgroup: the current members. process-tree: those known at the last scan that are still alive, so
 * call proctrack_scan first to include children born since. Members that cannot be seen from the
 * daemon's pid namespace are not reported or counted. fn must not use the tracker. */
int proctrack_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                      void *context);
/* Find the partitions that process `pid` belongs to now; none if there is no such process.
 * process-tree follows the current chain of parents, so no scan is needed. */
void proctrack_find(struct proctrack *proctrack, pid_t pid, struct proctrack_set *ret_set);

/* Send a signal once to each member, but not to processes that members start in response. A frozen
 * member receives it when thawed. *ret_count (may be NULL) is the number of processes signalled.
 * Return 0; -EAGAIN if members must stop first: none was signalled, call again; -EINVAL for an
 * invalid signal (also SIGKILL, for which there is proctrack_kill, SIGSTOP and 0); -EPERM if there
 * are members and none could be signalled. With `now` signal the members that can be seen now,
 * stopped or not: one that is being born can be missed. */
int proctrack_signal(struct proctrack *proctrack, uint64_t id, int signo, bool now,
                     uint32_t *ret_count);
/* Send SIGKILL to all members, including stopped and frozen ones. Does not wait until they are
 * gone: check with proctrack_members or proctrack_forget. Members in state D end when the kernel
 * lets them. Repeat it while there are members, with a pause after -EAGAIN: some are not killed
 * yet, because under process-tree all must stop first. With `now` kill those that can be seen now,
 * stopped or not. Return 0, -EAGAIN, or -EPERM as above. */
int proctrack_kill(struct proctrack *proctrack, uint64_t id, bool now);
/* Stop all members, and processes that join or are born later, until thawed. cgroup: members cannot
 * detect it, and no user can wake them. process-tree: uses SIGSTOP and SIGCONT, which parents see
 * and their user can undo. Return 0, or -EBUSY while some have not stopped; call again to look, and
 * under process-tree also to stop the children that they have had since. What only a cgroup of
 * others makes a member goes on: those who made that pause it by the same file, and it gets a
 * proctrack_signal while it runs, which can miss a process that is being born. A member of several
 * partitions runs only while none of them is frozen; under process-tree the last call counts. */
int proctrack_freeze(struct proctrack *proctrack, uint64_t id, bool frozen);

/* Let a cgroup that exists belong to the partition: all processes in it and below, now and later,
 * until one moves out. They are not moved, and the cgroup is not removed; the next proctrack_forget
 * that succeeds, or the cgroup's end, ends it. One cgroup belongs to one partition: the last. A
 * process in a cgroup of a partition that joins another belongs to both. Changes nothing on an
 * error: -EINVAL (no path of a cgroup), -EPERM (it holds a process that never joins), -EEXIST (it
 * overlaps another's, or one that joins made), -ENOENT, -EINPROGRESS (its directory is held by
 * another process: call again), -EOPNOTSUPP (not this cgroup, or not with this adapter), -E2BIG,
 * -EMFILE; all set `message`. */
int proctrack_claim(struct proctrack *proctrack, uint64_t id, const char *path,
                    struct message *message);
typedef void proctrack_claim_fn(void *context, const char *path);
/* Call fn (may be NULL) for each cgroup that belongs to the partition and still exists. Return the
 * count. fn must not use the tracker. */
int proctrack_claims(struct proctrack *proctrack, uint64_t id, proctrack_claim_fn *fn,
                     void *context);

/* Forget a partition and remove all traces of it. Return -EBUSY while it has members, or traces of
 * it are being made or removed. */
int proctrack_forget(struct proctrack *proctrack, uint64_t id);

/* Called for one partition with members or traces. `members` is counted as by proctrack_members. */
typedef void proctrack_each_fn(void *context, uint64_t id, uint32_t members, bool frozen);
/* Call fn (may be NULL) for each partition, in ascending order of id; after proctrack_open these
 * are the partitions of the previous daemon since boot. Thaw those that should not be frozen: a
 * daemon killed while it sent signals may have left one frozen. fn must not use the tracker.
 * Return the count or -errno. */
int proctrack_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context);

/* process-tree: scan all processes (docs/benchmarks.md gives the cost) and record new descendants
 * of members. Call it about every second while there are members, and before reporting members.
 * Other adapters have nothing to do, nor does this one without members. */
int proctrack_scan(struct proctrack *proctrack);

#endif
