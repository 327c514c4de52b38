/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the process tracker share: processes that do what they are told (puppets),
 * and a world of their own to do it in: as root, a pid namespace that ends with the
 * test, whatever is left in it, and cgroups that are removed afterwards.
 */
#ifndef CHRONOS_TESTS_PROCTRACK_HELP_H
#define CHRONOS_TESTS_PROCTRACK_HELP_H

#include "tests/check.h"

#include "core/proctrack/proctrack.h"

#include <limits.h>

#define ALICE 6101
#define BOB   6102

/* Runs the case that `make` makes in a world of its own, with the argument "user" as
 * an ordinary user; the exit status. */
int help_main(int argc, char **argv, TCase *(*make)(void));

/* A directory, and 16 hex digits, new for each test. */
void help_begin(void);
void help_end(void);
extern char help_directory[PATH_MAX];
extern char help_instance[PROCTRACK_INSTANCE_LEN + 1];
/* The same, and options for a tracker of this mode there. */
void help_begin_mode(const char *mode);
extern struct proctrack_options help_options;
/* Opens the tracker under test with them, again if it is open; help_end closes it. */
void help_open(void);
extern struct proctrack *proctrack;
extern struct message why;
/* Has a process join as it is now. */
int join_rc(uint64_t id, pid_t pid);
void join(uint64_t id, pid_t pid);
/* How many there are after a scan. */
int members(uint64_t id);
/* The mount of cgroup v2 that can be used, or NULL: why is printed. */
const char *help_cgroup(void);
/* A new cgroup below the mount, removed at the end: its path below the mount. */
const char *help_cgroup_make(const char *name);
/* Moves a process to a cgroup. */
void put(const char *path, pid_t pid);
/* Kills a partition, and forgets it when all are gone. */
void end_all(uint64_t id);
/* How many directories of the cgroup tree have `text` in their name. */
int help_cgroup_count(const char *text);
/* Writes to a file below the mount, or reads from it; 0 or -errno. */
int help_write(const char *path, const char *file, const char *text);
void help_read(const char *path, const char *file, char *text, size_t size);
/* The path of a process below the mount. */
void help_cgroup_of(pid_t pid, char *path, size_t size);

/* A filesystem at `path` that answers nothing: who looks at it is in state D until the
 * descriptor returned is closed. -1: not possible here. help_stuck_wait waits until
 * somebody is stuck. */
int help_stuck(const char *path);
void help_stuck_wait(int fd);

/* A real process that waits for commands, as user `uid`, a child of the caller. */
pid_t puppet_start(uid_t uid);
/* The same with a pid of our choice, by clone3. */
pid_t puppet_start_as(pid_t pid);
/* Tells it to fork; the child is a puppet too. */
pid_t puppet_fork(pid_t parent);
/* ... to fork a child in a session of its own, whose parent ends at once. */
pid_t puppet_fork_away(pid_t parent);
/* ... to do what kernels are asked for: the result, or -errno. */
int puppet_setsid(pid_t pid);
int puppet_setuid(pid_t pid, uid_t uid);
int puppet_write(pid_t pid, const char *path, const char *text);
int puppet_name(pid_t pid, const char *name);
/* ... to start a thread and end the first one; or just to start one: its tid. */
void puppet_end_first_thread(pid_t pid);
pid_t puppet_thread(pid_t pid);
/* ... to fork as soon as it runs: nobody waits for that. */
void puppet_fork_later(pid_t parent);
/* ... to look at a path, and not to come back from there: see help_stuck. */
void puppet_hang(pid_t pid, const char *path);
/* ... to fork all the time, up to `limit` living descendants. */
void puppet_bomb(pid_t pid, int limit);
/* ... to end; the caller waits for its own children unless `zombie`. */
void puppet_end(pid_t pid, bool zombie);
/* Living: there, and no zombie. */
bool puppet_alive(pid_t pid);
/* How many others live in this namespace, but the one that runs the tests. */
int puppet_count(void);
/* Signals that it got (USR1, TERM). */
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
