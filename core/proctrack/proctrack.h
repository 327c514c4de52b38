/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process tracker port: which processes belong to a partition, and what can be done to
 * them. It must not know what a partition is (a number other than 0), who may join
 * one or when one ends: the caller decides all that.
 *
 *     proctrack_open(&options, &process tracker, &message);
 *     proctrack_each(process tracker, fn, context);          after a restart: what is there
 *     proctrack_look(process tracker, pid, &process);        who is it? may the caller do that?
 *     proctrack_join(process tracker, 1, &process, &message);
 *     proctrack_signal(process tracker, 1, SIGTERM, &count);
 *     proctrack_kill(process tracker, 1);
 *     proctrack_forget(process tracker, 1);                  again and again while -EBUSY
 *     proctrack_close(process tracker);                      everything stays as it is
 *
 * A process belongs to at most one partition. What it starts from then on belongs too,
 * and their children, whatever user they run as; children that it had before do not.
 * It joins another by proctrack_join, and leaves none otherwise. What somebody else's
 * daemon starts on its behalf (cron, dockerd, systemd-run) does not belong.
 *
 * Adapters, by their word:
 * cgroup        cgroup v2 with cgroup.kill (kernel 5.14), as root. The kernel keeps the
 *               list: nobody but root can leave, nothing is missed, kill leaves none.
 * process-tree  needs nothing, works for any user with their own processes. Descendants
 *               are found by their parent: one that lost its parent between two
 *               calls of proctrack_scan, unseen, is lost. See ptree.c.
 * fake          in memory, for tests: see fake.h.
 *
 * One thread uses a process tracker. Calls read /proc or the cgroup tree; none waits for a
 * process to end, and none hangs for one that cannot be killed (state D). The longest
 * waits are bounded: PROCTRACK_WAIT_MS. Only proctrack_join under cgroup can take longer:
 * the kernel moves nobody while some process is inside fork or exec.
 *
 * Results are 0, a count where it says so, or -errno. A partition that nobody ever
 * joined is no error anywhere: it has no members.
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
#define PROCTRACK_WAIT_MS      1000 /* a call that has to wait gives up then */

struct proctrack;

/* Texts are borrowed during proctrack_open. NULL or 0 is the default where one is told. */
struct proctrack_options {
    /* 16 of 0-9a-f: tells this daemon's cgroups from those of others on the machine.
     * The same after a restart, another for every state directory. */
    const char *instance;
    const char *state_dir; /* process-tree keeps the file "members" there; must exist */
    const char *mode;      /* "auto" (default: cgroup, else process-tree), "cgroup",
                            * "process-tree", "fake" */
    pid_t supervisor;      /* like the caller's own process and pid 1 it never joins; 0: none */

    const char *proc;    /* "/proc" */
    const char *cgroup;  /* a mount of cgroup2; default: the first that can be written */
    const char *boot_id; /* default: that of the machine */
    /* For tests: "open", "move", "moved" in a join, "signal" before each signal, and more in
     * ptree_*.c. What it returns is not looked at. */
    struct steps steps;
};

/* Opens the adapter that `mode` asks for. The caller closes it. 0, or -errno and a
 * message: -EINVAL (the options make no sense), what kept "cgroup" from working
 * (-ENOENT no mount, -EROFS, -EPERM not root, -EOPNOTSUPP the kernel is too old), or
 * why the file in state_dir cannot be used. `message` can also be told something with
 * result 0 (the file was damaged: who belonged to what is not known), else it is "". */
int proctrack_open(const struct proctrack_options *options, struct proctrack **ret_proctrack,
                   struct message *message);
/* Frees the memory; processes stay where they are, frozen or not. NULL is fine; returns
 * NULL. */
struct proctrack *proctrack_close(struct proctrack *proctrack);
/* "cgroup", "process-tree" or "fake". */
const char *proctrack_word(const struct proctrack *proctrack);
/* Why "auto" did not take cgroup, one message; "" if it did, or another mode was asked. */
const char *proctrack_why(const struct proctrack *proctrack);

/* Looks at a process: what the caller needs to decide who may join it, taken together
 * from one process. -ESRCH there is none (any more), or it has ended and waits for its
 * parent (a zombie); -EINVAL `pid` is a thread that is no process (see proctrack_leader),
 * a kernel thread, or not positive. */
int proctrack_look(struct proctrack *proctrack, pid_t pid, struct procfs_process *ret_process);
/* The process that thread `tid` belongs to (FUSE tells the thread that asks, and a
 * process may have several), or -ESRCH. */
pid_t proctrack_leader(struct proctrack *proctrack, pid_t tid);

/* `process` belongs to partition `id` from now on, and no longer to another; once more
 * is harmless. Joining a frozen partition freezes it. Nothing is changed on an error:
 * -ESRCH  it ended, or the pid is another process by now
 * -EAGAIN its user ids are not those of `process` any more (it ran a setuid program):
 *         look and decide again
 * -EPERM  pid 1, the daemon itself, its supervisor, or the kernel does not let us
 * -EXDEV  it lives in a part of the cgroup tree that cannot be seen from here
 * other   what the kernel refused: no memory, a limit on cgroups, no disk space
 * Each but -ESRCH and -EAGAIN with a message to the user. */
int proctrack_join(struct proctrack *proctrack, uint64_t id, const struct procfs_process *process,
                   struct message *message);

typedef void proctrack_member_fn(void *context, pid_t pid);
/* Calls fn (may be NULL) for each member, ascending pids. Zombies are none; a process
 * with an ended first thread and others that run is one. Returns how many. cgroup: as
 * it is now. process-tree: those known at the last scan that still live, so call
 * proctrack_scan first to see children born since. Members that cannot be seen from the
 * daemon's pid namespace are not told and not counted. fn must not use the tracker. */
int proctrack_members(struct proctrack *proctrack, uint64_t id, proctrack_member_fn *fn,
                      void *context);
/* The partition that process `pid` belongs to now, or 0: to none, or there is no such
 * process. Follows the chain of parents anew under process-tree, so no scan is needed. */
uint64_t proctrack_partition_of(struct proctrack *proctrack, pid_t pid);

/* Sends a signal to each member once, not to what members start in answer to it. A
 * frozen member gets it when thawed. *ret_count (may be NULL): how many were sent one.
 * -EINVAL no such signal (SIGKILL: use proctrack_kill; SIGSTOP and 0 are refused too);
 * -EPERM there are members, and none could be sent one. */
int proctrack_signal(struct proctrack *proctrack, uint64_t id, int signo, uint32_t *ret_count);
/* Sends SIGKILL to all members, also to stopped and frozen ones and to what they
 * start meanwhile, and does not wait until they are gone: ask proctrack_members or
 * proctrack_forget. Those in state D go when the kernel lets them. Call it again while
 * somebody is there: under process-tree a member can be born at the wrong moment.
 * -EAGAIN: they multiplied, or went, too slowly or fast to be sure. -EPERM as above. */
int proctrack_kill(struct proctrack *proctrack, uint64_t id);
/* Stops all members, and everybody who joins or is born, until they are thawed.
 * cgroup: the members cannot tell, and nobody can wake them. process-tree: SIGSTOP and
 * SIGCONT, which parents see and their user can undo. -EBUSY: not all stand still
 * within PROCTRACK_WAIT_MS (state D); the rest do so as soon as they can. */
int proctrack_freeze(struct proctrack *proctrack, uint64_t id, bool frozen);

/* Forgets a partition and leaves no trace of it. -EBUSY while it has members. */
int proctrack_forget(struct proctrack *proctrack, uint64_t id);

/* One partition that has members or traces. `members` as proctrack_members counts. */
typedef void proctrack_each_fn(void *context, uint64_t id, uint32_t members, bool frozen);
/* Calls fn for each, ascending ids; after proctrack_open those of the daemon before this
 * one, of this boot. What is frozen and should not be has to be thawed: a daemon that
 * was killed while it sent signals may have left it so. fn must not use the tracker.
 * Returns how many. */
int proctrack_each(struct proctrack *proctrack, proctrack_each_fn *fn, void *context);

/* process-tree: looks at all processes (see docs/benchmarks.md for the cost) and
 * remembers the new descendants of members. Call it every second or so while anybody is
 * a member, and before telling members to somebody. Nothing to do for the others, and
 * nothing while there are no members. */
int proctrack_scan(struct proctrack *proctrack);

#endif
