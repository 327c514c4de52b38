/* SPDX-License-Identifier: Apache-2.0 */
/* The made-up processes of the fake tracker, and what they belong to. */
#include "fake_process.h"
#include "fake.h"

#include "core/base/array.h"

#include <errno.h>
#include <string.h>

struct fake_process *fake_process_find(const struct fake *fake, pid_t pid)
{
    for (size_t i = fake->process_count; i-- > 0;) {
        if (fake->processes[i].process.pid == pid)
            return fake->processes[i].ended ? NULL : &fake->processes[i];
    }
    return NULL;
}

struct fake_process *fake_process_living(const struct fake *fake, pid_t pid)
{
    struct fake_process *p = fake_process_find(fake, pid);
    return p && !p->zombie ? p : NULL;
}

struct proctrack_set fake_process_set(const struct fake *fake, const struct fake_process *p)
{
    struct proctrack_set in = p->in;
    for (size_t i = 0; i < fake->claim_count; i++) {
        size_t length = strlen(fake->claims[i].path);
        const char *rest = p->cgroup + length;
        if (strncmp(p->cgroup, fake->claims[i].path, length) == 0 && (!*rest || *rest == '/') &&
            proctrack_set_add(&in, fake->claims[i].id)) {
            /* there is no room for another */
        }
    }
    return in;
}

bool fake_process_is_member(const struct fake *fake, const struct fake_process *p, uint64_t id)
{
    const struct proctrack_set in = fake_process_set(fake, p);
    return proctrack_set_has(&in, id) && !p->zombie && !p->ended;
}

bool fake_process_is_frozen(const struct fake *fake, const struct fake_process *p)
{
    bool frozen = false;
    for (size_t i = 0; i < fake->partition_count; i++)
        frozen |= fake->partitions[i].frozen && proctrack_set_has(&p->in, fake->partitions[i].id);
    return frozen;
}

static int add(struct fake *fake, pid_t pid, uid_t uid, const struct proctrack_set *in)
{
    if (array_reserve(fake->processes, fake->process_capacity, fake->process_count + 1))
        return -ENOMEM;
    struct fake_process *p = &fake->processes[fake->process_count++];
    memset(p, 0, sizeof(*p));
    p->process = (struct procfs_process){
        .pid = pid, .start = ++fake->ticks, .uid = uid, .euid = uid, .suid = uid, .gid = uid};
    p->in = *in;
    return 0;
}

pid_t proctrack_fake_start(struct proctrack *proctrack, pid_t parent, uid_t uid)
{
    struct fake *fake = (struct fake *)proctrack;
    const struct fake_process *from = fake_process_living(fake, parent);
    const struct proctrack_set in = from ? from->in : (struct proctrack_set){{0}};
    pid_t pid = fake->next_pid;
    int r = add(fake, pid, uid, &in);
    if (r)
        return r;
    struct fake_process *started = &fake->processes[fake->process_count - 1];
    started->parent = parent;
    from = fake_process_living(fake, parent); /* they may have moved */
    if (from)
        memcpy(started->cgroup, from->cgroup, sizeof(started->cgroup));
    fake->next_pid++;
    return pid;
}

int proctrack_fake_reuse(struct proctrack *proctrack, pid_t pid, uid_t uid)
{
    proctrack_fake_end(proctrack, pid, false);
    return add((struct fake *)proctrack, pid, uid, &(struct proctrack_set){{0}});
}

void proctrack_fake_end(struct proctrack *proctrack, pid_t pid, bool zombie)
{
    struct fake_process *p = fake_process_find((struct fake *)proctrack, pid);
    if (p) {
        p->zombie = zombie;
        p->ended = !zombie;
    }
}

void proctrack_fake_stick(struct proctrack *proctrack, pid_t pid, bool stuck)
{
    struct fake_process *p = fake_process_living((struct fake *)proctrack, pid);
    if (!p)
        return;
    p->stuck = stuck;
    p->ended = !stuck && p->doomed;
}

bool proctrack_fake_alive(const struct proctrack *proctrack, pid_t pid)
{
    return fake_process_living((const struct fake *)proctrack, pid);
}

bool proctrack_fake_frozen(const struct proctrack *proctrack, pid_t pid)
{
    const struct fake *fake = (const struct fake *)proctrack;
    const struct fake_process *p = fake_process_living(fake, pid);
    return p && fake_process_is_frozen(fake, p);
}

unsigned proctrack_fake_signals(const struct proctrack *proctrack, pid_t pid, int signo)
{
    const struct fake *fake = (const struct fake *)proctrack;
    for (size_t i = fake->process_count; i-- > 0;)
        if (fake->processes[i].process.pid == pid)
            return fake->processes[i].delivered[signo];
    return 0;
}

int proctrack_fake_put(struct proctrack *proctrack, pid_t pid, const char *cgroup)
{
    struct fake_process *p = fake_process_living((struct fake *)proctrack, pid);
    if (!p || strlen(cgroup) >= sizeof(p->cgroup))
        return -ESRCH;
    strcpy(p->cgroup, cgroup);
    return 0;
}
