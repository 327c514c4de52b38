/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of the process tracker port. Every test runs against every adapter, with
 * real processes for the real ones and made-up processes for the fake. Promises of one
 * adapter alone are in cgroup*.c and ptree*.c.
 */
#ifndef CHRONOS_TESTS_PROCTRACK_CONTRACT_H
#define CHRONOS_TESTS_PROCTRACK_CONTRACT_H

#include "core/proctrack/fake.h"
#include "help.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const modes[] = {"fake", "process-tree", "cgroup"};
#define MODE_COUNT 3

static int mode;
static pid_t supervisor;

static inline bool is_fake(void)
{
    return mode == 0;
}

/* -- processes of either kind ------------------------------------------------------------ */

static inline pid_t start(uid_t uid)
{
    if (!is_fake())
        return puppet_start(geteuid() == 0 ? uid : geteuid());
    return proctrack_fake_start(proctrack, 0, uid);
}

static inline pid_t fork_of(pid_t parent)
{
    return is_fake() ? proctrack_fake_start(proctrack, parent, 0) : puppet_fork(parent);
}

static inline void end(pid_t pid, bool zombie)
{
    if (is_fake())
        proctrack_fake_end(proctrack, pid, zombie);
    else
        puppet_end(pid, zombie);
}

static inline bool alive(pid_t pid)
{
    return is_fake() ? proctrack_fake_alive(proctrack, pid) : puppet_alive(pid);
}

static inline unsigned signals(pid_t pid, int signo)
{
    return is_fake() ? proctrack_fake_signals(proctrack, pid, signo) : puppet_signals(pid, signo);
}

/* -- what most tests begin with ------------------------------------------------------------ */

static inline int open_again(void)
{
    struct proctrack_options options = {.instance = help_instance,
                                        .state_dir = help_directory,
                                        .mode = modes[mode],
                                        .supervisor = supervisor};
    return proctrack_open(&options, &proctrack, &why);
}

static inline void begin(int number)
{
    mode = number;
    ck_assert_msg(open_again() == 0, "%s", why.text);
}

static inline void setup(void)
{
    help_begin();
}

static inline void teardown(void)
{
    for (uint64_t id = 1; proctrack && !is_fake() && id < 5; id++)
        help_kill(id);
    help_end();
}

struct told {
    pid_t pids[600];
    int count;
};

static inline void tell(void *context, pid_t pid)
{
    struct told *told = context;
    ck_assert_int_lt(told->count, 600);
    ck_assert(told->count == 0 || told->pids[told->count - 1] < pid);
    told->pids[told->count++] = pid;
}

/* Asserts that exactly these are members; the list ends with 0. */
static inline void members_are(uint64_t id, const pid_t *pids)
{
    struct told told = {.count = 0};
    int count = 0;
    ck_assert_int_eq(proctrack_scan(proctrack), 0);
    ck_assert_int_eq(proctrack_members(proctrack, id, tell, &told), told.count);
    ck_assert_int_eq(proctrack_members(proctrack, id, NULL, NULL), told.count);
    for (; pids[count] != 0; count++) {
        bool found = false;
        for (int i = 0; i < told.count; i++)
            found = found || told.pids[i] == pids[count];
        ck_assert_msg(found, "%d is no member of %d", pids[count], (int)id);
        ck_assert_uint_eq(partition_in(proctrack, pids[count]), id);
    }
    ck_assert_int_eq(told.count, count);
}

#define MEMBERS(id, ...) members_are(id, (const pid_t[]){__VA_ARGS__, 0})
#define NO_MEMBERS(id)   members_are(id, (const pid_t[]){0})

struct seen {
    uint64_t ids[10];
    uint32_t members[10];
    bool frozen[10];
    int count;
};

static inline void see(void *context, uint64_t id, uint32_t members, bool frozen)
{
    struct seen *seen = context;
    ck_assert(seen->count == 0 || seen->ids[seen->count - 1] < id);
    seen->ids[seen->count] = id;
    seen->members[seen->count] = members;
    seen->frozen[seen->count++] = frozen;
}

static inline struct seen each(void)
{
    struct seen seen = {.count = 0};
    ck_assert_int_eq(proctrack_each(proctrack, see, &seen), seen.count);
    return seen;
}

static inline TCase *contract_case(const TTest *const *tests, size_t count)
{
    TCase *all = check_case("contract", setup, teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(all, tests[i], 0, help_cgroup() ? MODE_COUNT : 2);
    return all;
}

#endif
