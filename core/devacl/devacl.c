/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device access control as a whole; see devacl.h. The order of steps makes it safe to die at any
 * moment: a node is saved durably before it is restricted, and forgotten only after it is restored.
 */
#include "internal.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct entry *find(const struct devacl *devacl, const char *path)
{
    for (size_t i = 0; i < devacl->count; i++) {
        if (strcmp(devacl->entries[i].path, path) == 0)
            return &devacl->entries[i];
    }
    return NULL;
}

size_t devacl_count(const struct devacl *devacl)
{
    return devacl->count;
}

/* -- construction ------------------------------------------------------------------- */

int devacl_new(const struct devacl_options *options, struct devacl **ret_devacl,
               struct message *message)
{
    struct devacl *devacl = calloc(1, sizeof(*devacl));
    int r = 0;

    message->text[0] = '\0';
    if (!devacl)
        return node_message(-ENOMEM, message,
                            "Out of memory: cannot control access to device nodes.");
    devacl->options = *options;
    devacl->options.state_dir = strdup(options->state_dir);
    devacl->directory_fd = open(options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (devacl->directory_fd < 0)
        r = node_message(-errno, message, "Cannot open %s: %s.", options->state_dir,
                         strerror(errno));
    else if (!devacl->options.state_dir)
        r = node_message(-ENOMEM, message, "Out of memory: cannot control access to device nodes.");
    if (boot_id_read(devacl->boot)) /* without a boot id, all boots look the same */
        strcpy(devacl->boot, "unknown");
    if (!r)
        r = saved_load(devacl, message);
    if (r) {
        devacl_free(devacl);
        return r;
    }
    *ret_devacl = devacl;
    return 0;
}

struct devacl *devacl_free(struct devacl *devacl)
{
    if (!devacl)
        return NULL;
    while (devacl->count > 0)
        saved_remove(devacl, devacl->count - 1);
    free(devacl->entries);
    if (devacl->looker.pid)
        child_leave(&devacl->looker);
    fd_close(devacl->directory_fd);
    free((char *)(uintptr_t)devacl->options.state_dir);
    free(devacl);
    return NULL;
}

/* -- restoring --------------------------------------------------------------------- */

/* Restore one node. Return 0 also if the node is gone or was replaced. */
static int restore(struct devacl *devacl, const struct entry *entry, struct message *message)
{
    struct identity identity;
    struct node_state now;
    int fd = node_open(devacl, entry->path);
    int r = fd >= 0 ? node_read(devacl, fd, &identity, &now) : fd;

    if (!r) {
        if (node_is(fd, &identity, &entry->identity))
            r = node_restore(devacl, fd, &now, &entry->before);
        free(now.acl.data);
    }
    fd_close(fd);
    if (!r || r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r == -EOPNOTSUPP) /* without ACLs it is another filesystem */
        return 0;
    return node_message(r, message, "Cannot restore %s: %s.", entry->path, strerror(-r));
}

int devacl_release(struct devacl *devacl, struct message *message)
{
    int first = 0;

    message->text[0] = '\0';
    if (devacl->count == 0 && !devacl->damaged)
        return 0;
    for (size_t i = devacl->count; i-- > 0;) {
        int r = restore(devacl, &devacl->entries[i], message);
        if (!r)
            saved_remove(devacl, i);
        else if (first == 0)
            first = r;
    }
    int r = saved_store(devacl, message);
    return first != 0 ? first : r;
}

/* -- applying ---------------------------------------------------------------------- */

/* One call of devacl_apply. */
struct work {
    struct devacl *devacl;
    const struct devacl_node *nodes;
    size_t count;
    bool changed; /* the list differs from the file */
    int first;    /* the first error */
    struct message *message;
};

static void fail(struct work *work, int r)
{
    if (work->first == 0)
        work->first = r;
}

static int check_node(const struct devacl_node *node, struct message *message)
{
    size_t length = strlen(node->path);
    bool good = node->path[0] == '/' && length < DEVACL_PATH_MAX;
    for (size_t i = 0; i < length; i++)
        good = good && (unsigned char)node->path[i] >= ' ';
    if (!good)
        return node_message(-EINVAL, message,
                            "\"%.64s\" is not the path of a device node; use an absolute path "
                            "shorter than %d bytes, without control characters.",
                            node->path, DEVACL_PATH_MAX);
    for (size_t i = 0; i < node->uid_count + node->gid_count; i++) {
        bool is_uid = i < node->uid_count;
        if ((is_uid ? node->uids[i] : node->gids[i - node->uid_count]) == UINT32_MAX)
            return node_message(-EINVAL, message, "4294967295 is not a %s id; %s is unchanged.",
                                is_uid ? "user" : "group", node->path);
    }
    return 0;
}

static bool is_wanted(const struct work *work, const char *path)
{
    for (size_t i = 0; i < work->count; i++) {
        if (strcmp(work->nodes[i].path, path) == 0)
            return true;
    }
    return false;
}

static void unmanage(struct work *work)
{
    struct devacl *devacl = work->devacl;
    for (size_t i = devacl->count; i-- > 0;) {
        if (is_wanted(work, devacl->entries[i].path))
            continue;
        int r = restore(devacl, &devacl->entries[i], work->message);
        if (!r) {
            saved_remove(devacl, i);
            work->changed = true;
        } else {
            fail(work, r);
        }
    }
}

static void forget(struct work *work, struct entry *entry)
{
    saved_remove(work->devacl, (size_t)(entry - work->devacl->entries));
    work->changed = true;
}

static int report(const struct work *work, const char *path, int r)
{
    struct message *message = work->message;

    switch (r) {
    case -EPERM:
    case -EACCES:
        return node_message(-EPERM, message,
                            "Cannot change the permissions of %s: run chronosfs as root (it needs "
                            "CAP_CHOWN and CAP_FOWNER), or write open to config/device_access.",
                            path);
    case -EOPNOTSUPP:
        return node_message(r, message,
                            "Cannot restrict %s: its filesystem does not support access control "
                            "lists (ACLs); write open to config/device_access, or use a devtmpfs.",
                            path);
    case -E2BIG:
        return node_message(
            r, message,
            "%s has more holders than fit in its access control list (at most %d): those with the "
            "newest partitions cannot open it.",
            path, DEVACL_HOLDERS_MAX);
    default:
        return node_message(r, message, "Cannot restrict %s: %s.", path, strerror(-r));
    }
}

/* Add a node to the list unless the same node is in it. Takes ownership of state->acl. */
static int manage_opened(struct work *work, const char *path, int fd,
                         const struct identity *identity, struct node_state *state)
{
    struct devacl *devacl = work->devacl;
    struct entry *entry = find(devacl, path);

    if (entry && node_is(fd, identity, &entry->identity)) {
        free(state->acl.data);
        return 0;
    }
    if (entry)
        forget(work, entry);
    entry = saved_add(devacl);
    if (!entry) {
        free(state->acl.data);
        return report(work, path, -ENOMEM);
    }
    strcpy(entry->path, path);
    entry->identity = *identity;
    entry->before = *state;
    entry->fresh = true;
    work->changed = true;
    return 0;
}

static void manage(struct work *work, const struct devacl_node *node)
{
    struct identity identity;
    struct node_state state;
    int r = check_node(node, work->message);
    int fd = !r ? node_open(work->devacl, node->path) : r;

    if (!r && fd < 0 && (fd == -ENOENT || fd == -ENOTDIR)) {
        struct entry *entry = find(work->devacl, node->path);
        if (entry)
            forget(work, entry);
        return;
    }
    if (!r)
        r = fd >= 0 ? 0 : report(work, node->path, fd);
    if (!r)
        r = node_check_kind(work->devacl, fd, node->path, work->message);
    if (!r) {
        r = node_read(work->devacl, fd, &identity, &state);
        if (r)
            report(work, node->path, r);
    }
    if (!r)
        r = manage_opened(work, node->path, fd, &identity, &state);
    if (r)
        fail(work, r);
    fd_close(fd);
}

/* Set the ACL of a node in the list. */
static int restrict_node(struct work *work, const struct devacl_node *node, struct entry *entry)
{
    struct identity identity;
    struct node_state now = {0};
    struct acl acl = {0};
    int fd = node_open(work->devacl, node->path);
    int r = fd >= 0 ? node_read(work->devacl, fd, &identity, &now) : fd;

    if (!r && !node_is(fd, &identity, &entry->identity))
        r = -ENOENT; /* replaced since it was added: left to the next devacl_apply */
    if (!r)
        r = node_restrict(work->devacl, fd, &now, node, &acl);
    if (!r || r == -E2BIG) {
        free(entry->applied.data);
        entry->applied = acl;
        entry->fresh = false;
    }
    free(now.acl.data);
    fd_close(fd);
    return r;
}

static void restrict_all(struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct devacl_node *node = &work->nodes[i];
        struct entry *entry = find(work->devacl, node->path);
        int r =
            entry && check_node(node, work->message) == 0 ? restrict_node(work, node, entry) : 0;
        if (!r || r == -ENOENT)
            continue;
        fail(work, report(work, node->path, r));
        if (r == -E2BIG) /* restricted, to fewer holders */
            continue;
        /* A node that could not be restricted leaves the list. */
        if (entry->fresh && restore(work->devacl, entry, work->message) == 0)
            forget(work, entry);
    }
}

/* Do not restrict a node that is not saved. */
static void forget_fresh(struct work *work)
{
    for (size_t i = work->devacl->count; i-- > 0;) {
        if (work->devacl->entries[i].fresh)
            saved_remove(work->devacl, i);
    }
}

static void store(struct work *work)
{
    int r = work->changed ? saved_store(work->devacl, work->message) : 0;
    if (r)
        fail(work, r);
    work->changed = r;
}

int devacl_apply(struct devacl *devacl, const struct devacl_node *nodes, size_t count,
                 struct message *message)
{
    struct work work = {.devacl = devacl,
                        .nodes = nodes,
                        .count = count,
                        .changed = devacl->unsaved,
                        .message = message};

    message->text[0] = '\0';
    unmanage(&work);
    for (size_t i = 0; i < count; i++)
        manage(&work, &nodes[i]);
    store(&work);
    if (work.changed)
        forget_fresh(&work);
    restrict_all(&work);
    if (work.changed)
        store(&work);
    devacl->unsaved = work.changed;
    return work.first;
}

/* -- checking ---------------------------------------------------------------------- */

/* Describe what changed in `message`; false if nothing did. */
static bool differs(struct devacl *devacl, const struct entry *entry, struct message *message)
{
    struct identity identity;
    struct node_state now = {0};
    const char *path = entry->path;
    int fd = node_open(devacl, path);
    int r = fd >= 0 ? node_read(devacl, fd, &identity, &now) : fd;

    message->text[0] = '\0';
    if (r == -EBUSY)
        return false;
    if (r)
        node_message(0, message, "%s does not exist any more.", path);
    else if (!node_is(fd, &identity, &entry->identity))
        node_message(0, message, "%s was replaced; the new node has mode %04o.", path, now.mode);
    else if (now.uid != 0)
        node_message(0, message, "%s was given to user %u.", path, now.uid);
    else if (now.acl.size == 0 || (now.mode & 0777) != 0660)
        node_message(0, message, "The mode of %s was set to %04o.", path, now.mode);
    else if (!node_acl_is_same(&now.acl, &entry->applied))
        node_message(0, message, "The access control list of %s was changed.", path);
    free(now.acl.data);
    fd_close(fd);
    return message->text[0] != '\0';
}

size_t devacl_check(struct devacl *devacl, devacl_changed_fn *fn, void *context)
{
    struct message message;
    size_t count = 0;

    for (size_t i = 0; i < devacl->count; i++) {
        const struct entry *entry = &devacl->entries[i];
        if (entry->applied.size == 0 || !differs(devacl, entry, &message))
            continue;
        count++;
        if (fn)
            fn(context, entry->path, message.text);
    }
    return count;
}
