/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the tests of the process tracker: processes on strings (puppets), and an
 * environment for them: as root, a pid namespace that ends with the test together with
 * everything in it, and cgroups that are removed afterwards.
 */
#ifndef CHRONOS_TESTS_PROCTRACK_HELP_H
#define CHRONOS_TESTS_PROCTRACK_HELP_H

#include "tests/check.h"

#include "core/proctrack/proctrack.h"

#include <limits.h>

#define ALICE 6101
#define BOB   6102

/* Runs the case that `make` makes in an environment of its own, with the argument "user" as an
 * ordinary user. Returns the exit status. */
int help_main(int argc, char **argv, TCase *(*make)(void));

/* Makes the case `name`, without a test where cgroups cannot be used. Returns it. */
TCase *help_cgroup_case(const char *name, void (*setup)(void), const TTest *const *tests,
                        size_t test_count);

/* A new directory, and 16 new hex digits, for each test. */
void help_begin(void);
void help_end(void);
extern char help_directory[PATH_MAX];
extern char help_instance[PROCTRACK_INSTANCE_LEN + 1];
/* The same, with options for a tracker of this mode there. */
void help_begin_mode(const char *mode);
extern struct proctrack_options help_options;
/* Opens the tracker under test with them, or reopens it; help_end closes it. */
void help_open(void);
extern struct proctrack *proctrack;
extern struct message why;
#define SET(...) ((struct proctrack_set){{__VA_ARGS__}})
/* The partition that a process is in, or 0; asserts that there are no more. */
uint64_t partition_in(struct proctrack *tracker, pid_t pid);
/* Joins a process as it is now. */
int join_set(struct proctrack_set set, pid_t pid);
int join_rc(uint64_t id, pid_t pid);
void join(uint64_t id, pid_t pid);
/* Returns the number of members after a scan. */
int members(uint64_t id);
/* Returns the mount of cgroup v2 to use, or NULL; then the reason is printed. */
const char *help_cgroup(void);
/* Makes a cgroup below the mount, removed at the end. Returns its path below the mount. */
const char *help_cgroup_make(const char *name);
/* Moves a process to a cgroup. */
void put(const char *path, pid_t pid);
/* Repeat the call until all members have stopped; at last without waiting for that. */
int help_signal(uint64_t id, int signo, uint32_t *ret_count);
int help_kill(uint64_t id);
int help_freeze(uint64_t id, bool frozen);
/* Repeat the call while its cgroups are being removed. */
int help_forget(uint64_t id);
/* Kills a partition, and forgets it once all members are gone. */
void end_all(uint64_t id);
/* Returns the number of directories in the cgroup tree with `text` in their name. */
int help_cgroup_count(const char *text);
/* Write to a file below the mount, or read from it. Return 0 or -errno. */
int help_write(const char *path, const char *file, const char *text);
void help_read(const char *path, const char *file, char *text, size_t size);
/* Gives the path of the cgroup of a process, below the mount. */
void help_cgroup_of(pid_t pid, char *path, size_t size);

/* Mounts a filesystem at `path` that never answers: a process that looks at it stays in state
 * D until the returned descriptor is closed. -1: not possible here. help_stuck_wait waits
 * until a process is stuck. */
int help_stuck(const char *path);
void help_stuck_wait(int fd);

/* Starts a real process that waits for commands, as user `uid`, a child of the caller. */
pid_t puppet_start(uid_t uid);
/* The same with a chosen pid, by clone3. */
pid_t puppet_start_as(pid_t pid);
/* Makes it fork; the child is a puppet too. */
pid_t puppet_fork(pid_t parent);
/* ... fork a child in a session of its own, whose parent ends at once. */
pid_t puppet_fork_away(pid_t parent);
/* ... make a system call: returns the result, or -errno. */
int puppet_setsid(pid_t pid);
int puppet_setuid(pid_t pid, uid_t uid);
int puppet_write(pid_t pid, const char *path, const char *text);
int puppet_name(pid_t pid, const char *name);
/* ... start a thread and end the first one; or only start one: its tid. */
void puppet_end_first_thread(pid_t pid);
pid_t puppet_thread(pid_t pid);
/* ... fork as soon as it runs, without waiting for that. */
void puppet_fork_later(pid_t parent);
/* ... look at a path that never answers: see help_stuck. */
void puppet_hang(pid_t pid, const char *path);
/* ... fork all the time, up to `limit` living descendants. */
void puppet_bomb(pid_t pid, int limit);
/* ... end; the caller reaps its own children unless `zombie`. */
void puppet_end(pid_t pid, bool zombie);
/* Returns whether it exists and is not a zombie. */
bool puppet_alive(pid_t pid);
/* Returns the number of others in this namespace, without the process of the tests. */
int puppet_count(void);
/* Returns how many signals it received (USR1, TERM). */
unsigned puppet_signals(pid_t pid, int signo);
char puppet_state(pid_t pid);

/* Waits until the expression is true, for as long as it takes on a slow machine. */
#define EVENTUALLY(expression)                                                                     \
    do {                                                                                           \
        int tries_ = 0;                                                                            \
        while (!(expression)) {                                                                    \
            ck_assert_msg(++tries_ < 20000, "never: %s", #expression);                             \
            help_nap();                                                                            \
        }                                                                                          \
    } while (0)
void help_nap(void);

#endif
