/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Have child processes do what takes the kernel's lock of a directory that users can list: make and
 * remove cgroups, and look up paths that lead through such directories. A user who lists one into
 * memory that never answers (a page of a FUSE file) holds its lock, and then such a call waits
 * where not even SIGKILL ends it. Leaves are not listable by users; the directories of others in
 * which they are made usually are.
 *
 * A child that waits is left alone, and its result fetched by a later call for the same change; a
 * leaf that it made is kept whichever call comes next. One that is done takes the next change,
 * because a fork costs more than the change, and ends when it has had none for a while. An account
 * may have a few changes that wait, so that a person who holds directories takes the children from
 * no other.
 */
#include "cgroup.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Wait this long for a child: in a directory that is not held it is done by then. */
#define WAIT_MS 5
/* A child ends this long after its last change. */
#define IDLE_MS 1000
/* At most this many changes of one account wait. */
#define ACCOUNT_MAX 4
/* These are kept for processes that are in a leaf by mistake. */
#define RESERVED 16

struct change {
    enum cgroup_task task;
    uint64_t id;
    uint32_t account;
    const char *path;
    int64_t numbers[2]; /* what else the child needs */
};

/* -- the child ----------------------------------------------------------------------------- */

/* Do one task. Return 0 or -errno, with what was made or opened in `packet`. */
static int perform(const struct cgroup *cgroup, struct cgroup_packet *packet)
{
    const int64_t *head = packet->head;
    char leaf[PATH_MAX], *path = packet->path, *slash;
    uint64_t id = (uint64_t)head[1];
    switch ((enum cgroup_task)head[0]) {
    case CGROUP_MAKE:
        slash = strchr(path, '/'); /* after the name */
        if (!slash)
            return -EINVAL;
        *slash = '\0';
        packet->fds[0] = cgroup_place_make(cgroup, path, slash + 1, head[2], leaf);
        strcpy(path, leaf);
        return packet->fds[0] < 0 ? packet->fds[0] : 0;
    case CGROUP_REMOVE:
        return cgroup_walk_remove(cgroup, path);
    case CGROUP_MOVE_BACK:
        return cgroup_place_move_back(cgroup, path, (pid_t)id);
    case CGROUP_STEP_OUT:
        return cgroup_place_step_out(cgroup, (pid_t)id);
    case CGROUP_LEAVE:
        return cgroup_out(cgroup, path, (pid_t)id, (uint64_t)head[2], (uint32_t)head[3]);
    case CGROUP_CLAIM:
        return cgroup_place_claim(cgroup, path, (uint64_t)head[2], packet);
    }
    return -EINVAL;
}

/* What was made and cannot be handed over has no owner: the daemon has ended. */
static int serve(void *context, int socket)
{
    const struct cgroup *cgroup = context;
    static struct cgroup_packet packet;
    while (poll(&(struct pollfd){.fd = socket, .events = POLLIN}, 1, IDLE_MS) > 0) {
        int r = cgroup_packet_receive(socket, &packet);
        if (r)
            break;
        const bool makes = packet.head[0] == CGROUP_MAKE;
        packet.head[0] = perform(cgroup, &packet);
        r = cgroup_packet_send(socket, &packet);
        if (r && makes && packet.fds[0] >= 0)
            unlinkat(cgroup->root_fd, packet.path, AT_REMOVEDIR);
        cgroup_packet_close(&packet);
        if (r)
            break;
    }
    return 0;
}

/* -- the parent ---------------------------------------------------------------------------- */

static size_t parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool is_same(const struct cgroup_child *child, const struct change *change)
{
    return child->task == change->task && child->id == change->id &&
           memcmp(child->numbers, change->numbers, sizeof(child->numbers)) == 0 &&
           strcmp(child->path, change->path) == 0;
}

/* Whether a child's change may need the lock of the same directory. */
static bool is_beside(const struct cgroup_child *child, const struct change *change)
{
    if (child->task != change->task || change->task > CGROUP_REMOVE)
        return false;
    if (change->task == CGROUP_MAKE) /* for the same origin */
        return strcmp(strchr(child->path, '/'), strchr(change->path, '/')) == 0;
    size_t length = parent_length(child->path);
    return parent_length(change->path) == length && strncmp(change->path, child->path, length) == 0;
}

static int start(struct cgroup *cgroup)
{
    const int keep[] = {cgroup->root_fd, cgroup->proc_fd};
    struct cgroup_child *child = &cgroup->children[cgroup->child_count];
    if (cgroup->child_count == CGROUP_CHILD_MAX)
        return -EINPROGRESS;
    *child = (struct cgroup_child){.task = 0};
    int r = child_start(serve, cgroup, keep, 2, &child->child);
    cgroup->child_count += !r;
    return r;
}

/* Give the change to a child that has none, or to a new one. */
static int give(struct cgroup *cgroup, const struct change *change, struct cgroup_packet *packet,
                struct cgroup_child **ret_child)
{
    memset(packet->fds, -1, sizeof(packet->fds));
    packet->head[0] = change->task;
    packet->head[1] = (int64_t)change->id;
    packet->head[2] = change->numbers[0];
    packet->head[3] = change->numbers[1];
    snprintf(packet->path, sizeof(packet->path), "%s", change->path);
    char *path = strdup(change->path);
    int r = path ? -EPIPE : -ENOMEM;
    for (size_t i = 0; r == -EPIPE; i++) {
        int started = i == cgroup->child_count ? start(cgroup) : 0;
        struct cgroup_child *child = &cgroup->children[i];
        if (started)
            r = started;
        else if (!child->task)
            r = cgroup_packet_send(child->child.socket, packet);
        if (r)
            continue;
        child->task = change->task;
        child->id = change->id;
        child->account = change->account;
        memcpy(child->numbers, change->numbers, sizeof(child->numbers));
        child->path = path;
        *ret_child = child;
        return 0;
    }
    free(path);
    return r;
}

/* Add a leaf that a child made to the others, whether or not its call is repeated: the end
 * of its partition removes it. One that cannot be added is removed at once. */
static int keep(struct cgroup *cgroup, uint32_t account, struct cgroup_packet *packet)
{
    char path[PATH_MAX];
    struct cgroup_child *child;
    int r = cgroup_leaf_keep(cgroup, account, packet->fds[0], packet->path);
    packet->fds[0] = -1;
    if (!r)
        return 0;
    snprintf(path, sizeof(path), "%s", packet->path);
    give(cgroup, &(struct change){CGROUP_REMOVE, 0, account, path, {0}}, packet, &child);
    return r;
}

/* Fetch the result of a child's change. False: there is none yet. -EPIPE: it has ended. */
static bool result_of(struct cgroup *cgroup, struct cgroup_child *child,
                      struct cgroup_packet *packet, int *ret_result)
{
    int r = cgroup_packet_receive(child->child.socket, packet);
    const bool made = child->task == CGROUP_MAKE;
    if (r == -EAGAIN || r == -EINTR)
        return false;
    free(child->path);
    child->path = NULL;
    child->task = 0;
    *ret_result = r ? -EPIPE : (int)packet->head[0];
    if (!*ret_result && made)
        *ret_result = keep(cgroup, child->account, packet);
    return true;
}

/* Remove the children that have ended. */
static void reap(struct cgroup *cgroup)
{
    for (size_t i = cgroup->child_count; i-- > 0;) {
        struct cgroup_child *child = &cgroup->children[i];
        if (child->task || child_wait(&child->child, 0) == -EINPROGRESS)
            continue;
        child_leave(&child->child);
        *child = cgroup->children[--cgroup->child_count];
    }
}

/* Return whether *ret_result is the result of an earlier call for the same change, or -EINPROGRESS
 * because that one or others in its way are not done. */
static bool find(struct cgroup *cgroup, const struct change *change, struct cgroup_packet *packet,
                 int *ret_result)
{
    bool waits = false;
    size_t busy = 0, own = 0;
    int result;
    for (size_t i = 0; i < cgroup->child_count; i++) {
        struct cgroup_child *child = &cgroup->children[i];
        if (!child->task)
            continue;
        bool same = is_same(child, change), beside = same || is_beside(child, change);
        if (!result_of(cgroup, child, packet, &result)) {
            busy++;
            own += child->account == change->account;
            waits = waits || beside;
        } else if (same && result != -EPIPE) {
            *ret_result = result;
            return true;
        } else {
            cgroup_packet_close(packet); /* a cgroup of others that is not asked for again */
        }
    }
    const bool may = own < ACCOUNT_MAX || change->task == CGROUP_CLAIM; /* that is root's */
    if (change->task == CGROUP_MOVE_BACK || (!waits && busy < CGROUP_CHILD_MAX - RESERVED && may))
        return false;
    *ret_result = -EINPROGRESS;
    return true;
}

/* Have it done, and wait a little. */
static int do_change(struct cgroup *cgroup, const struct change *change,
                     struct cgroup_packet *packet)
{
    struct cgroup_child *child;
    reap(cgroup);
    int r = -EPIPE, result;
    if (find(cgroup, change, packet, &result))
        return result;
    /* an idle child can end as it is given the change */
    for (int tries = 0; r == -EPIPE && tries < 3; tries++) {
        r = give(cgroup, change, packet, &child);
        if (r)
            break;
        poll(&(struct pollfd){.fd = child->child.socket, .events = POLLIN}, 1, WAIT_MS);
        if (!result_of(cgroup, child, packet, &r))
            r = -EINPROGRESS;
    }
    return r == -EPIPE ? -EIO : r;
}

static int without_path(struct cgroup *cgroup, const struct change *change)
{
    struct cgroup_packet packet;
    return do_change(cgroup, change, &packet);
}

int cgroup_change_make(struct cgroup *cgroup, const struct proctrack_set *set, uint32_t account,
                       const char *origin, bool shared, struct cgroup_leaf **ret_leaf)
{
    char name[CGROUP_NAME_MAX], path[PATH_MAX];
    cgroup_leaf_name_for(cgroup, set, name);
    if (snprintf(path, sizeof(path), "%s/%s", name, origin) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    const struct change change = {CGROUP_MAKE, 0, account, path, {shared}};
    struct cgroup_packet packet;
    int r = do_change(cgroup, &change, &packet);
    if (!r)
        *ret_leaf = cgroup_leaf_at(cgroup, packet.path);
    return r;
}

int cgroup_change_made(struct cgroup *cgroup, uint64_t id)
{
    struct cgroup_packet packet;
    int result, r = 0;
    for (size_t i = 0; i < cgroup->child_count; i++) {
        struct cgroup_child *child = &cgroup->children[i];
        struct proctrack_set set;
        if (child->task == CGROUP_MAKE &&
            cgroup_leaf_name(cgroup, child->path, strcspn(child->path, "/"), &set) &&
            proctrack_set_has(&set, id) && !result_of(cgroup, child, &packet, &result))
            r = -EINPROGRESS;
    }
    return r;
}

int cgroup_change_remove(struct cgroup *cgroup, const struct cgroup_leaf *leaf)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", leaf->path);
    int r = without_path(cgroup, &(struct change){CGROUP_REMOVE, 0, leaf->account, path, {0}});
    if (!r)
        cgroup_leaf_drop(cgroup, path);
    return r;
}

int cgroup_change_claim(struct cgroup *cgroup, const char *path, uint64_t inode,
                        struct cgroup_claim *ret_claim)
{
    const struct change change = {CGROUP_CLAIM, 0, CGROUP_NO_ACCOUNT, path, {(int64_t)inode}};
    struct cgroup_packet packet;
    int r = do_change(cgroup, &change, &packet);
    if (r)
        return r;
    ret_claim->inode = (uint64_t)packet.head[1];
    memcpy(ret_claim->files, packet.fds, sizeof(packet.fds));
    return packet.fds[CGROUP_FILES - 1] < 0 ? -EMFILE : 0; /* they could not be received */
}

int cgroup_change_move_back(struct cgroup *cgroup, const char *leaf, pid_t pid)
{
    return without_path(
        cgroup, &(struct change){CGROUP_MOVE_BACK, (uint64_t)pid, CGROUP_NO_ACCOUNT, leaf, {0}});
}

int cgroup_change_step_out(struct cgroup *cgroup, pid_t pid)
{
    return without_path(
        cgroup, &(struct change){CGROUP_STEP_OUT, (uint64_t)pid, CGROUP_NO_ACCOUNT, "", {0}});
}

int cgroup_change_leave(struct cgroup *cgroup, uint32_t account, const char *leaf,
                        const struct procfs_process *process, uint32_t uid)
{
    const uint64_t pid = (uint64_t)process->pid;
    char path[PATH_MAX];
    for (size_t i = 0; !leaf && i < cgroup->child_count; i++) {
        const struct cgroup_child *child = &cgroup->children[i];
        if (child->task == CGROUP_LEAVE && child->id == pid &&
            child->numbers[0] == (int64_t)process->start) {
            snprintf(path, sizeof(path), "%s", child->path);
            leaf = path;
        }
    }
    const struct change change = {CGROUP_LEAVE, pid, account, leaf, {(int64_t)process->start, uid}};
    return leaf ? without_path(cgroup, &change) : 0;
}

/* A child that waits cannot be killed, but does nothing once its call returns. */
void cgroup_change_stay(struct cgroup *cgroup, const struct procfs_process *process)
{
    for (size_t i = 0; i < cgroup->child_count; i++) {
        const struct cgroup_child *child = &cgroup->children[i];
        if (child->task == CGROUP_LEAVE && child->id == (uint64_t)process->pid &&
            child->numbers[0] == (int64_t)process->start)
            kill(child->child.pid, SIGKILL);
    }
}

void cgroup_change_end_all(struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->child_count; i++) {
        struct cgroup_child *child = &cgroup->children[i];
        pid_t pid = child->child.pid;
        free(child->path);
        child_leave(&child->child);
        waitpid(pid, NULL, child->task ? WNOHANG : 0);
    }
    cgroup->child_count = 0;
}
