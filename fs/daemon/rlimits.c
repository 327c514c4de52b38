/* SPDX-License-Identifier: Apache-2.0 */
/* Raise resource limits; see rlimits.h. */
#include "rlimits.h"

#include "core/base/array.h"

#include <errno.h>
#include <sys/resource.h>

#define MIB ((rlim_t)1 << 20)

/* A limit, what the daemon would like, and the least that it works with. Neither pauses nor errors
 * replace these: the kernel kills (CPU), or memory and threads are missing at any moment. */
static const struct row {
    unsigned resource; /* of getrlimit() */
    rlim_t wanted, least;
    const char *what;
    const char *option; /* of ulimit in the shell */
} rows[] = {
    {RLIMIT_NOFILE, 65536, 128, "open files", "-n 1024"},
    {RLIMIT_FSIZE, RLIM_INFINITY, 4 * MIB, "the size of files", "-f unlimited"},
    {RLIMIT_STACK, 8 * MIB, MIB, "the stack", "-s 8192"},
    {RLIMIT_AS, RLIM_INFINITY, 512 * MIB, "virtual memory", "-v unlimited"},
    {RLIMIT_DATA, RLIM_INFINITY, 128 * MIB, "data", "-d unlimited"},
    {RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY, "processor time", "-t unlimited"},
    {RLIMIT_NPROC, RLIM_INFINITY, 0, "processes", "-u unlimited"},
};

/* Raise to what is wanted; without the privilege to raise the hard limit, up to that. Returns the
 * new limit. */
static rlim_t raise_limit(const struct row *row)
{
    struct rlimit limit;
    if (getrlimit(row->resource, &limit) != 0)
        return RLIM_INFINITY;
    struct rlimit all = {row->wanted, limit.rlim_max > row->wanted ? limit.rlim_max : row->wanted};
    if (row->resource == RLIMIT_NOFILE && limit.rlim_max != RLIM_INFINITY &&
        limit.rlim_max > row->wanted)
        all.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur >= all.rlim_cur || setrlimit(row->resource, &all) == 0)
        return limit.rlim_cur > all.rlim_cur ? limit.rlim_cur : all.rlim_cur;
    struct rlimit most = {limit.rlim_max, limit.rlim_max};
    return setrlimit(row->resource, &most) == 0 ? most.rlim_cur : limit.rlim_cur;
}

int rlimits_raise(struct message *message)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        rlim_t limit = raise_limit(&rows[i]);
        if (limit < rows[i].least)
            return message_set(-EAGAIN, message,
                               "The limit on %s is too low (%llu) for a daemon; raise it with "
                               "ulimit %s, or start chronosfs as a service.",
                               rows[i].what, (unsigned long long)limit, rows[i].option);
    }
    return 0;
}
