/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups of others (a container, a unit, a job step) that root gave to a partition: what is in
 * them and below belongs to it without being moved. Users may own them, hold their directories,
 * move what is in them and remove them, so a child looks their names up once (cgroup_change.c) and
 * all else goes through descriptors. They are never frozen for a signal, because those who made
 * them pause them by the same file, and never removed.
 */
#include "cgroup.h"

#include "core/base/array.h"
#include "core/base/fd.h"
#include "core/base/message.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Cgroups of one partition. */
#define CLAIMS_MAX 16
/* How long the start waits for a directory that a user holds. */
#define TRIES    100
#define PAUSE_US 5000

/* -- one claim ---------------------------------------------------------------------------- */

/* A cgroup that was removed has no files, though another may have its path by now. */
static bool lives(const struct cgroup_claim *claim)
{
    char byte;
    return pread(claim->files[CGROUP_EVENTS], &byte, 1, 0) >= 0;
}

static bool is_populated(const struct cgroup_claim *claim)
{
    char text[256];
    ssize_t length = pread(claim->files[CGROUP_EVENTS], text, sizeof(text) - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    return strstr(text, "populated 1");
}

static void claim_free(struct cgroup_claim *claim)
{
    for (size_t i = 0; i < CGROUP_FILES; i++)
        fd_close(claim->files[i]);
    free(claim->path);
}

static void drop(struct cgroup *cgroup, size_t at)
{
    claim_free(&cgroup->claims[at]);
    memmove(&cgroup->claims[at], &cgroup->claims[at + 1],
            (cgroup->claim_count - at - 1) * sizeof(*cgroup->claims));
    cgroup->claim_count--;
}

/* Keep them in order of their partitions. */
static int put(struct cgroup *cgroup, const struct cgroup_claim *claim)
{
    size_t at = 0;
    if (array_reserve(cgroup->claims, cgroup->claim_capacity, cgroup->claim_count + 1))
        return -ENOMEM;
    while (at < cgroup->claim_count && cgroup->claims[at].id <= claim->id)
        at++;
    memmove(&cgroup->claims[at + 1], &cgroup->claims[at],
            (cgroup->claim_count - at) * sizeof(*claim));
    cgroup->claims[at] = *claim;
    cgroup->claim_count++;
    return 0;
}

/* -- what may be claimed -------------------------------------------------------------------- */

/* Find the path below the mount. False: it is not below it, or not in its simplest form. */
static bool is_below_mount(const struct cgroup *cgroup, const char *path, char at[static PATH_MAX])
{
    size_t length = strlen(cgroup->mount);
    if (strncmp(path, cgroup->mount, length) != 0 || path[length] != '/' ||
        snprintf(at, PATH_MAX, "%s", path + length + 1) >= PATH_MAX)
        return false;
    for (length = strlen(at); length > 0 && at[length - 1] == '/';)
        at[--length] = '\0';
    for (const char *part = at; *part;) {
        size_t long_as = strcspn(part, "/");
        if (long_as == 0 || (long_as <= 2 && strspn(part, ".") >= long_as))
            return false;
        part += long_as + (part[long_as] == '/');
    }
    return true;
}

/* Return a process that is there and must never belong to a partition, or 0. */
static pid_t own_there(const struct cgroup *cgroup, const char *path)
{
    char at[PATH_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(cgroup->port.own); i++)
        if (cgroup_dir_of(cgroup, cgroup->port.own[i], at) == 0 && cgroup_dir_is_below(at, path))
            return cgroup->port.own[i];
    return 0;
}

static bool has_our_name(const struct cgroup *cgroup, const char *path)
{
    struct proctrack_set set;
    for (; *path; path += strcspn(path, "/"), path += *path == '/')
        if (cgroup_leaf_name(cgroup, path, strcspn(path, "/"), &set))
            return true;
    return false;
}

static const struct cgroup_claim *overlapping(const struct cgroup *cgroup, const char *path)
{
    for (size_t i = 0; i < cgroup->claim_count; i++) {
        const struct cgroup_claim *claim = &cgroup->claims[i];
        if (strcmp(claim->path, path) != 0 && lives(claim) &&
            (cgroup_dir_is_below(claim->path, path) || cgroup_dir_is_below(path, claim->path)))
            return claim;
    }
    return NULL;
}

static int check(const struct cgroup *cgroup, uint64_t id, const char *path,
                 struct message *message)
{
    size_t own = 0;
    if (!*path)
        return message_set(-EINVAL, message, "The root of the cgroup tree holds all processes.");
    pid_t pid = own_there(cgroup, path);
    if (pid)
        return message_set(-EPERM, message, "Process %d is in this cgroup: %s.", (int)pid,
                           pid == 1 ? "all processes descend from it"
                                    : "chronosfs itself must outlive all partitions");
    if (has_our_name(cgroup, path))
        return message_set(
            -EEXIST, message,
            "This cgroup is one that chronosfs makes; its processes belong already.");
    const struct cgroup_claim *other = overlapping(cgroup, path);
    if (other)
        return message_set(-EEXIST, message, "p%" PRIu64 " has %s/%.100s, which overlaps.",
                           other->id, cgroup->mount, other->path);
    for (size_t i = 0; i < cgroup->claim_count; i++)
        own += cgroup->claims[i].id == id && strcmp(cgroup->claims[i].path, path) != 0;
    if (own >= CLAIMS_MAX)
        return message_set(-E2BIG, message, "p%" PRIu64 " has %d cgroups, and can have no more.",
                           id, CLAIMS_MAX);
    if ((cgroup->claim_count + 1) * CGROUP_FILES > cgroup->leaf_max / 4)
        return message_set(-EMFILE, message,
                           "Too many cgroups belong to partitions; chronosfs needs a higher limit "
                           "of open files.");
    return 0;
}

/* -- the port ------------------------------------------------------------------------------- */

/* Open the cgroup in a child, and put it in the place of what had this path. */
static int take(struct cgroup *cgroup, uint64_t id, const char *path, uint64_t inode)
{
    struct cgroup_claim claim = {.id = id, .path = NULL};
    int r = cgroup_change_claim(cgroup, path, inode, &claim);
    if (r)
        return r;
    claim.path = strdup(path);
    r = claim.path ? put(cgroup, &claim) : -ENOMEM;
    if (r) {
        claim_free(&claim);
        return r;
    }
    r = cgroup_claim_save(cgroup, &claim);
    size_t i = cgroup->claim_count;
    while (r && cgroup->claims[--i].files[CGROUP_DIR] != claim.files[CGROUP_DIR])
        ;
    if (r)
        drop(cgroup, i); /* with its path, which is that of `claim` */
    while (!r && i-- > 0)
        if (cgroup_claim_is_before(&cgroup->claims[i], &claim))
            drop(cgroup, i);
    return r;
}

int cgroup_claim(struct proctrack *proctrack, uint64_t id, const char *path,
                 struct message *message)
{
    struct cgroup *cgroup = (struct cgroup *)proctrack;
    char at[PATH_MAX];
    if (strcmp(path, cgroup->mount) == 0)
        at[0] = '\0';
    else if (!is_below_mount(cgroup, path, at))
        return message_set(-EINVAL, message,
                           "Write the path of a cgroup, such as %s/system.slice/train.service.",
                           cgroup->mount);
    int r = check(cgroup, id, at, message);
    if (r)
        return r;
    r = take(cgroup, id, at, 0);
    switch (r) {
    case 0:
        return 0;
    case -EINPROGRESS:
        return message_set(r, message,
                           "The directory of this cgroup is held by a process that lists it.");
    case -EOPNOTSUPP:
        return message_set(
            r, message, "This cgroup is for threads of the one above it; write that one's path.");
    case -ENOENT:
    case -ENOTDIR:
        return message_set(-ENOENT, message, "There is no cgroup %.150s.", path);
    default:
        return message_set(r, message, "Cannot use this cgroup, or record it for a restart: %s.",
                           strerror(-r));
    }
}

int cgroup_claims(struct proctrack *proctrack, uint64_t id, proctrack_claim_fn *fn, void *context)
{
    struct cgroup *cgroup = (struct cgroup *)proctrack;
    char path[2 * PATH_MAX];
    int count = 0;
    bool gone = false;
    for (size_t i = cgroup->claim_count; i-- > 0;)
        if (cgroup->claims[i].id == id && !lives(&cgroup->claims[i])) {
            drop(cgroup, i);
            gone = true;
        }
    if (gone && cgroup_claim_save(cgroup, NULL) != 0) {
        /* the next start finds that they are gone */
    }
    for (size_t i = 0; i < cgroup->claim_count; i++) {
        if (cgroup->claims[i].id != id)
            continue;
        snprintf(path, sizeof(path), "%s/%s", cgroup->mount, cgroup->claims[i].path);
        if (fn)
            fn(context, path);
        count++;
    }
    return count;
}

/* -- for the rest of the adapter ------------------------------------------------------------ */

/* Read again from the beginning what the kernel lists. */
static int list_flat(const struct cgroup_claim *claim, struct cgroup_pids *list)
{
    int fd = fcntl(claim->files[CGROUP_PROCS], F_DUPFD_CLOEXEC, 0), r = 0;
    if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0) {
        fd_close(fd);
        return -EIO;
    }
    r = cgroup_dir_list_file(fd, list);
    return r;
}

int cgroup_claim_list(const struct cgroup *cgroup, uint64_t id, struct cgroup_pids *list)
{
    int r = 0;
    for (size_t i = 0; i < cgroup->claim_count; i++) {
        const struct cgroup_claim *claim = &cgroup->claims[i];
        struct stat info;
        if (claim->id != id || !lives(claim))
            continue;
        bool divided = fstat(claim->files[CGROUP_DIR], &info) != 0 || info.st_nlink > 2;
        int here = divided ? -EOPNOTSUPP : list_flat(claim, list);
        if (here) /* below, or its owner made it one of threads */
            here = cgroup_dir_list_below(cgroup, claim->path, list);
        r = r ? r : here;
    }
    return r;
}

void cgroup_claim_find(const struct cgroup *cgroup, const char *path, struct proctrack_set *set)
{
    for (size_t i = 0; i < cgroup->claim_count; i++)
        if (cgroup_dir_is_below(path, cgroup->claims[i].path) && lives(&cgroup->claims[i]) &&
            proctrack_set_add(set, cgroup->claims[i].id)) {
            /* there is no room for another */
        }
}

int cgroup_claim_kill(const struct cgroup *cgroup, uint64_t id)
{
    int r = 0;
    for (size_t i = 0; i < cgroup->claim_count; i++)
        if (cgroup->claims[i].id == id &&
            pwrite(cgroup->claims[i].files[CGROUP_KILL], "1", 1, 0) < 0 && errno != ENODEV)
            r = -errno;
    return r;
}

bool cgroup_claim_is_populated(const struct cgroup *cgroup, uint64_t id)
{
    for (size_t i = 0; i < cgroup->claim_count; i++)
        if (cgroup->claims[i].id == id && is_populated(&cgroup->claims[i]))
            return true;
    return false;
}

uint64_t cgroup_claim_after(const struct cgroup *cgroup, uint64_t id)
{
    size_t first;
    cgroup_leaf_of(cgroup, id + 1, &first);
    uint64_t next = first < cgroup->leaf_count ? cgroup->leaves[first].id : 0;
    for (size_t i = 0; i < cgroup->claim_count; i++)
        if (cgroup->claims[i].id > id)
            return next && next < cgroup->claims[i].id ? next : cgroup->claims[i].id;
    return next;
}

void cgroup_claim_forget(struct cgroup *cgroup, uint64_t id)
{
    bool any = false;
    for (size_t i = cgroup->claim_count; i-- > 0;)
        if (cgroup->claims[i].id == id) {
            drop(cgroup, i);
            any = true;
        }
    if (any && cgroup_claim_save(cgroup, NULL) != 0) {
        /* no partition has this number at the next start */
    }
}

void cgroup_claim_close(struct cgroup *cgroup)
{
    while (cgroup->claim_count > 0)
        drop(cgroup, cgroup->claim_count - 1);
    free(cgroup->claims);
    fd_close(cgroup->state_fd);
}

/* -- the start ------------------------------------------------------------------------------ */

static bool is_known(const struct cgroup *cgroup, uint64_t id, const char *path)
{
    for (size_t i = 0; i < cgroup->claim_count; i++)
        if (cgroup->claims[i].id == id && strcmp(cgroup->claims[i].path, path) == 0)
            return true;
    return false;
}

/* "12 4711 system.slice/train.service". 0, also if the cgroup is gone. */
static int load_line(struct cgroup *cgroup, char *line)
{
    uint64_t id, inode;
    int at = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%" SCNu64 " %" SCNu64 " %n", &id, &inode, &at) != 2 || at == 0 || id == 0 ||
        !line[at] || own_there(cgroup, line + at) || is_known(cgroup, id, line + at))
        return 0;
    int r = take(cgroup, id, line + at, inode);
    return r == -ENOENT || r == -ESTALE || r == -ENODEV ? 0 : r;
}

/* Those that are held do not delay the others. */
int cgroup_claim_load(struct cgroup *cgroup, const struct proctrack_options *options)
{
    int r = options->state_dir ? -EINPROGRESS : 0;
    for (int i = 0; r == -EINPROGRESS && i < TRIES; i++) {
        if (i > 0)
            usleep(PAUSE_US);
        r = cgroup_claim_read(cgroup, options, load_line);
    }
    if (options->state_dir)
        cgroup->state_fd = open(options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return r == -EINPROGRESS ? -EBUSY : r;
}
