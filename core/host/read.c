/* SPDX-License-Identifier: Apache-2.0 */
/* Read which processes are in a partition, and which cgroups belong to it. */
#include "internal.h"

#include "core/base/array.h"
#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void member_line(void *context, pid_t pid)
{
    FILE *file = context;
    fprintf(file, "%d\n", (int)pid);
}

static void cgroup_line(void *context, const char *path)
{
    FILE *file = context;
    fprintf(file, "%s\n", path);
}

/* Return the cgroups that belong to the partition, or NULL. */
static char *cgroups_of(struct host *host, uint64_t id)
{
    char *text = NULL;
    size_t length;
    FILE *file = proctrack_claims(host->proctrack, id, NULL, NULL) > 0
                     ? open_memstream(&text, &length)
                     : NULL;
    if (!file)
        return NULL;
    proctrack_claims(host->proctrack, id, cgroup_line, file);
    if (fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}

/* Report the members. If they cannot be read, report nothing: an empty list would say that programs
 * have ended. Readers try again; what `settles` must not be forgotten. */
static void read_members(struct host *host, uint64_t id, int64_t asked_ns, bool settles)
{
    const size_t slot = id % ARRAY_COUNT(host->members_read);
    struct host_result *result = host_result_new(RESULT_MEMBERS, 0);
    if (!host->scans || host->seen_ns < asked_ns) {
        host->seen_ns = clock_boottime_ns(); /* one scan serves all partitions */
        proctrack_scan(host->proctrack);
    }
    FILE *file = result ? open_memstream(&result->members.text, &result->members.length) : NULL;
    int r = file ? proctrack_members(host->proctrack, id, member_line, file) : -ENOMEM;
    if (file && fclose(file) != 0)
        r = -ENOMEM;
    if (r < 0) {
        host_result_free(result);
        if (settles && r == -ENOMEM)
            host_start_over(id);
        return;
    }
    host->members_read[slot].id = id;
    host->members_read[slot].at_ns = host->seen_ns;
    result->id = id;
    result->members.asked_ns = host->seen_ns;
    result->members.settles = settles;
    result->members.cgroups = cgroups_of(host, id);
    host_report(host, result);
}

void host_do_read(struct host *host, uint64_t id, int64_t asked_ns)
{
    const size_t slot = id % ARRAY_COUNT(host->members_read);
    if (host->members_read[slot].id != id || host->members_read[slot].at_ns < asked_ns)
        read_members(host, id, asked_ns, false);
}

void host_settle(struct host *host, uint64_t id)
{
    size_t at = 0;
    while (at < host->settling.count && host->settling.ids[at] != id)
        at++;
    if (at < host->settling.count)
        return;
    if (array_reserve(host->settling.ids, host->settling.capacity, at + 1))
        host_start_over(id);
    host->settling.ids[host->settling.count++] = id;
}

void host_settle_next(struct host *host)
{
    if (host->settling.count == 0)
        return;
    const uint64_t id = host->settling.ids[0];
    host->settling.count--;
    memmove(host->settling.ids, host->settling.ids + 1,
            host->settling.count * sizeof(*host->settling.ids));
    read_members(host, id, host->now_ns, true);
}
