/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device node: identify, read, restrict and restore it. It must not know where state is saved.
 *
 * The ACL attribute is set directly, not through libacl: setting it changes ACL and mode in one
 * step, so a crash never leaves one without the other; the former ACL is restored to the byte; and
 * it works on an O_PATH descriptor, because opening a device would wake its driver. libacl would
 * make the same call, after a call and an allocation per entry.
 */
#include "internal.h"

#include "core/base/line.h"
#include "core/base/ns.h"
#include "core/base/procfs.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_NAME    "system.posix_acl_access"
#define READ_WRITE  (ACL_READ | ACL_WRITE)
#define LOOK_MS     100 /* wait this long for a name that the kernel does not know */
#define KNOWN_TRIES 16  /* a mount made at the same moment makes one fail */
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20 /* Linux 5.12 */
#endif

int node_message(int code, struct message *message, const char *format, ...)
{
    va_list arguments;
    if (message->text[0] != '\0')
        return code;
    va_start(arguments, format);
    vsnprintf(message->text, sizeof(message->text), format, arguments);
    va_end(arguments);
    line_clean(message->text); /* it can contain a path */
    return code;
}

/* -- opening and reading ---------------------------------------------------------- */

/* A path for the descriptor's node, for calls that do not accept O_PATH descriptors. */
static void name_fd(int fd, char name[static PROCFS_PATH_MAX])
{
    char file[32];
    snprintf(file, sizeof(file), "self/fd/%d", fd);
    procfs_path(file, name);
}

static int open_now(const char *path)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

/* Open a name that the kernel knows; all that exist in a /dev in memory are. -EAGAIN: it does not
 * know it, or could not tell at once. */
static int open_known(const char *path)
{
    const struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                                 .resolve = RESOLVE_CACHED};
    long fd = -1;
    errno = EAGAIN;
    for (int i = 0; fd < 0 && errno == EAGAIN && i < KNOWN_TRIES; i++)
        fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
    if (fd < 0 && (errno == ENOSYS || errno == EINVAL || errno == EPERM))
        return open_now(path); /* the kernel is older, or a filter knows no such call */
    return fd >= 0 ? (int)fd : -errno;
}

static int look(void *context, int socket)
{
    (void)socket;
    int fd = open_now(context);
    return fd < 0 ? fd : 0;
}

/* A user can hold the directory: have a child look. One that waits is the only one. */
static int look_up(struct devacl *devacl, const char *path)
{
    struct child *looker = &devacl->looker;
    if (looker->pid && child_wait(looker, 0) == -EINPROGRESS)
        return -EBUSY;
    if (looker->socket > 0)
        child_leave(looker);
    int r = child_start(look, (void *)(uintptr_t)path, NULL, 0, looker);
    if (!r)
        r = child_wait(looker, LOOK_MS);
    if (r != -EINPROGRESS && looker->socket > 0)
        child_leave(looker);
    return r == -EINPROGRESS ? -EBUSY : r;
}

int node_open(struct devacl *devacl, const char *path)
{
    int fd = open_known(path);
    if (fd != -EAGAIN)
        return fd;
    int r = look_up(devacl, path);
    return r ? r : open_now(path);
}

static int read_acl(int fd, struct acl *ret_acl)
{
    char name[PROCFS_PATH_MAX];
    struct acl acl = {malloc(DEVACL_ACL_MAX), 0};

    if (!acl.data)
        return -ENOMEM;
    name_fd(fd, name);
    ssize_t length = getxattr(name, ACL_NAME, acl.data, DEVACL_ACL_MAX);
    if (length < 0 && errno != ENODATA) {
        int r = -errno;
        free(acl.data);
        return r;
    }
    if (length <= 0) {
        free(acl.data);
        acl.data = NULL;
    } else {
        acl.size = (size_t)length;
        void *less = realloc(acl.data, acl.size);
        acl.data = less ? less : acl.data;
    }
    *ret_acl = acl;
    return 0;
}

int node_read(const struct devacl *devacl, int fd, struct identity *ret_identity,
              struct node_state *ret_state)
{
    struct statx st;
    struct acl acl;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
        return -errno;
    int r = read_acl(fd, &acl);
    if (r)
        return r;
    *ret_identity = (struct identity){.device = makedev(st.stx_dev_major, st.stx_dev_minor),
                                      .inode = st.stx_ino,
                                      .rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor)};
    if ((st.stx_mask & STATX_BTIME) != 0)
        ret_identity->birth_ns = st.stx_btime.tv_sec * NS_PER_SECOND + st.stx_btime.tv_nsec;
    memcpy(ret_identity->boot, devacl->boot, sizeof(devacl->boot));
    *ret_state = (struct node_state){st.stx_uid, st.stx_gid, st.stx_mode & 07777u, acl};
    return 0;
}

/* After a reboot, a node in memory is a new one, whatever its numbers are; one on disk is the same,
 * but its filesystem may have another device number. */
bool node_is(int fd, const struct identity *now, const struct identity *saved)
{
    struct statfs fs;
    if (now->inode != saved->inode || now->rdev != saved->rdev || now->birth_ns != saved->birth_ns)
        return false;
    if (strcmp(now->boot, saved->boot) == 0)
        return now->device == saved->device;
    return fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
}

int node_check_kind(const struct devacl *devacl, int fd, const char *path, struct message *message)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return node_message(-errno, message, "Cannot read %s: %s.", path, strerror(errno));
    if (S_ISLNK(st.st_mode))
        return node_message(-EINVAL, message, "%s is a symbolic link, not a device node.", path);
    if (!S_ISCHR(st.st_mode) && !(devacl->options.plain_files && S_ISREG(st.st_mode)))
        return node_message(-EINVAL, message, "%s is not a character device.", path);
    return 0;
}

/* -- ACLs ------------------------------------------------------------------------- */

bool node_acl_is_same(const struct acl *a, const struct acl *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static void put(struct acl *acl, unsigned tag, unsigned permissions, uint32_t id)
{
    const struct posix_acl_xattr_entry entry = {htole16((uint16_t)tag),
                                                htole16((uint16_t)permissions), htole32(id)};
    memcpy(acl->data + acl->size, &entry, sizeof(entry));
    acl->size += sizeof(entry);
}

static int begin(struct acl *acl, size_t entries)
{
    const struct posix_acl_xattr_header header = {htole32(POSIX_ACL_XATTR_VERSION)};
    acl->size = 0;
    acl->data = malloc(sizeof(header) + entries * sizeof(struct posix_acl_xattr_entry));
    if (!acl->data)
        return -ENOMEM;
    memcpy(acl->data, &header, sizeof(header));
    acl->size = sizeof(header);
    return 0;
}

/* An id and its place in the caller's order. */
struct ranked {
    uint32_t id;
    size_t rank;
};

static int by_id(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

static int by_rank(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

/* The ids of one kind that an ACL gets. */
struct chosen {
    struct ranked *ids;
    size_t count, lost;
};

/* Sort the ids and remove duplicates, as the kernel and all tools expect, and drop root. Of more
 * than `most`, the first in the caller's order stay. Return 0 or -ENOMEM. */
static int choose(const uint32_t *ids, size_t count, bool are_users, size_t most,
                  struct chosen *ret_chosen)
{
    struct chosen chosen = {.ids = malloc((count + 1) * sizeof(*chosen.ids))};
    if (!chosen.ids)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        chosen.ids[i] = (struct ranked){ids[i], i};
    qsort(chosen.ids, count, sizeof(*chosen.ids), by_id);
    for (size_t i = 0; i < count; i++) {
        struct ranked next = chosen.ids[i];
        bool is_root = are_users && next.id == 0;
        if (!is_root && (chosen.count == 0 || chosen.ids[chosen.count - 1].id != next.id))
            chosen.ids[chosen.count++] = next;
    }
    if (chosen.count > most) {
        qsort(chosen.ids, chosen.count, sizeof(*chosen.ids), by_rank);
        chosen.lost = chosen.count - most;
        chosen.count = most;
        qsort(chosen.ids, chosen.count, sizeof(*chosen.ids), by_id);
    }
    *ret_chosen = chosen;
    return 0;
}

static int put_all(struct acl *acl, const struct chosen *users, const struct chosen *groups)
{
    int r = begin(acl, users->count + groups->count + 4);

    if (r)
        return r;
    put(acl, ACL_USER_OBJ, READ_WRITE, (uint32_t)ACL_UNDEFINED_ID);
    for (size_t i = 0; i < users->count; i++)
        put(acl, ACL_USER, READ_WRITE, users->ids[i].id);
    put(acl, ACL_GROUP_OBJ, 0, (uint32_t)ACL_UNDEFINED_ID);
    for (size_t i = 0; i < groups->count; i++)
        put(acl, ACL_GROUP, READ_WRITE, groups->ids[i].id);
    put(acl, ACL_MASK, READ_WRITE, (uint32_t)ACL_UNDEFINED_ID);
    put(acl, ACL_OTHER, 0, (uint32_t)ACL_UNDEFINED_ID);
    return 0;
}

/* Make the ACL of a restricted node with at most `most` of its holders; *ret_lost are left out.
 * Return 0 or -ENOMEM. */
static int holders_acl(const struct devacl_node *node, size_t most, struct acl *ret_acl,
                       size_t *ret_lost)
{
    struct chosen users = {.ids = NULL}, groups = {.ids = NULL};
    struct acl acl;
    int r = choose(node->uids, node->uid_count, true, most, &users);

    if (!r)
        r = choose(node->gids, node->gid_count, false, most - users.count, &groups);
    if (!r)
        r = put_all(&acl, &users, &groups);
    free(users.ids);
    free(groups.ids);
    if (r)
        return r;
    *ret_acl = acl;
    *ret_lost = users.lost + groups.lost;
    return 0;
}

/* Make an ACL equivalent to a mode. Setting it sets the mode and removes the ACL in one step; after
 * removing the attribute alone, the mask would become the group's permissions. */
static int mode_acl(uint32_t mode, struct acl *ret_acl)
{
    int r = begin(ret_acl, 3);
    if (!r) {
        put(ret_acl, ACL_USER_OBJ, mode >> 6 & 7, (uint32_t)ACL_UNDEFINED_ID);
        put(ret_acl, ACL_GROUP_OBJ, mode >> 3 & 7, (uint32_t)ACL_UNDEFINED_ID);
        put(ret_acl, ACL_OTHER, mode & 7, (uint32_t)ACL_UNDEFINED_ID);
    }
    return r;
}

/* -- changing --------------------------------------------------------------------- */

static int change_acl(const struct devacl *devacl, int fd, const struct acl *acl)
{
    char name[PROCFS_PATH_MAX];
    int r = steps_before(&devacl->options.steps, "acl");
    name_fd(fd, name);
    if (!r && setxattr(name, ACL_NAME, acl->data, acl->size, 0) != 0)
        r = -errno;
    return r;
}

static int change_owner(const struct devacl *devacl, int fd, uint32_t uid, uint32_t gid)
{
    int r = steps_before(&devacl->options.steps, "chown");
    if (!r && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0)
        r = -errno;
    return r;
}

/* Restrict to as many holders as fit, on a disk one block of them: users whose partitions ended
 * must not stay in because there are too many others. */
int node_restrict(const struct devacl *devacl, int fd, const struct node_state *now,
                  const struct devacl_node *node, struct acl *ret_acl)
{
    int r = now->uid != 0 ? change_owner(devacl, fd, 0, now->gid) : 0;
    for (size_t most = DEVACL_HOLDERS_MAX; !r; most /= 2) {
        struct acl acl = {0};
        size_t lost = 0;
        r = holders_acl(node, most, &acl, &lost);
        if (!r && !node_acl_is_same(&now->acl, &acl))
            r = change_acl(devacl, fd, &acl);
        if (!r) {
            *ret_acl = acl;
            return lost ? -E2BIG : 0;
        }
        free(acl.data);
        bool too_large = r == -E2BIG || r == -ENOSPC || r == -EDQUOT;
        if (too_large)
            r = most ? 0 : -ENOSPC;
    }
    return r;
}

/* Change the owner first: a new group must not be set while the node has the old group's
 * permissions. */
int node_restore(const struct devacl *devacl, int fd, const struct node_state *now,
                 const struct node_state *before)
{
    char name[PROCFS_PATH_MAX];
    struct acl plain;
    bool none = before->acl.size == 0;
    bool same =
        node_acl_is_same(&now->acl, &before->acl) && ((now->mode ^ before->mode) & 0777) == 0;
    int r = 0;

    if (now->uid != before->uid || now->gid != before->gid)
        r = change_owner(devacl, fd, before->uid, before->gid);
    if (!r && !same && none) {
        r = mode_acl(before->mode, &plain);
        if (!r) {
            r = change_acl(devacl, fd, &plain);
            free(plain.data);
        }
    } else if (!r && !same) {
        r = change_acl(devacl, fd, &before->acl);
    }
    /* Restore bits that chown clears and that no ACL has. */
    if (!r && ((now->mode | before->mode) & 07000) != 0) {
        name_fd(fd, name);
        r = steps_before(&devacl->options.steps, "chmod");
        if (!r && chmod(name, before->mode) != 0)
            r = -errno;
    }
    return r;
}
