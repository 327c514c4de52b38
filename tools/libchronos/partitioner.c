/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handles of chronos.h: finding the tree, also when its daemon was started again, and the
 * sentence for the calling thread's last failure. It must not know what is done with the files.
 */
#include "partitioner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __thread char last_error[MESSAGE_MAX];

const char *chronos_get_last_error(void)
{
    return last_error;
}

int partitioner_fail(int r, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(last_error, sizeof(last_error), format, list);
    va_end(list);
    return r;
}

int partitioner_fail_no_device(const struct chronos_partitioner *self, const char *device)
{
    char text[MESSAGE_MAX];
    chronos_explain_no_device(&self->mount, device, text, sizeof(text));
    return partitioner_fail(-ENODEV, "%s", text);
}

int partitioner_check(const struct chronos_partitioner *self, const char *id)
{
    uint64_t number;
    if (!self)
        return partitioner_fail(-EINVAL, "There is no handle: chronos_partitioner_create failed.");
    if (id && !chronos_parse_id(id, &number))
        return partitioner_fail(-EINVAL, "\"%.40s\" is not the id of a partition, such as p1.", id);
    return 0;
}

/* -- the tree ------------------------------------------------------------------------------ */

static int fail_no_mount(const char *path, int r)
{
    char text[MESSAGE_MAX];
    if (r == -ENOTDIR)
        r = -ENOENT;
    chronos_explain_no_mount(path, r, "in CHRONOS_MOUNT", text, sizeof(text));
    return partitioner_fail(r, "%s", text);
}

/* Read how the first device was found. */
static void read_backend(struct chronos_partitioner *self)
{
    uint64_t *devices = NULL;
    size_t count = 0;
    char path[48];
    snprintf(self->backend, sizeof(self->backend), "none");
    int r = chronos_list(self->mount.root, ".", "gpu", &devices, &count);
    if (!r && count > 0) {
        snprintf(path, sizeof(path), "gpu%llu/backend", (unsigned long long)devices[0]);
        chronos_read(self->mount.root, path, self->backend, sizeof(self->backend));
    }
    free(devices);
}

int chronos_partitioner_open(const char *mount, ChronosPartitionerHandle *ret_handle)
{
    const char *wanted = mount ? mount : secure_getenv("CHRONOS_MOUNT");
    char failed[PATH_MAX];
    struct fd_identity root;
    struct chronos_partitioner *self = calloc(1, sizeof(*self));
    if (!self)
        return partitioner_fail(-ENOMEM, "Not enough memory.");
    self->searched = !wanted || wanted[0] == '\0';
    int r = chronos_mount_open(self->searched ? NULL : wanted, failed, &self->mount);
    if (!r) {
        r = fd_identify(self->mount.root, "", &root);
        if (r)
            chronos_mount_close(&self->mount);
    }
    if (r) {
        free(self);
        return fail_no_mount(failed, r);
    }
    atomic_init(&self->device, root.device);
    self->inode = root.inode;
    /* Absolute, if it can be found: programs change their directory. */
    chronos_find_path(self->mount.root, self->mount.path);
    read_backend(self);
    *ret_handle = self;
    return 0;
}

ChronosPartitionerHandle chronos_partitioner_create(void)
{
    ChronosPartitionerHandle handle = NULL;
    int r = chronos_partitioner_open(NULL, &handle);
    if (r)
        errno = -r;
    return handle;
}

static struct fd_identity identity(struct chronos_partitioner *self)
{
    return (struct fd_identity){.device = atomic_load(&self->device), .inode = self->inode};
}

void chronos_partitioner_destroy(ChronosPartitionerHandle handle)
{
    if (!handle)
        return;
    const struct fd_identity root = identity(handle);
    held_free(&handle->held);
    held_close_file(handle->mount.root, &root);
    free(handle);
}

const char *chronos_get_mount(ChronosPartitionerHandle handle)
{
    return handle ? handle->mount.path : "";
}

const char *chronos_get_backend_name(ChronosPartitionerHandle handle)
{
    return handle ? handle->backend : "none";
}

static bool same_file(const struct fd_identity *a, const struct fd_identity *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Put `root` in the place of the root that no longer answers, for all threads with one system call:
 * those that use the old one fail and come here. False if the program closed it and opened
 * something else. */
static bool replace_root(struct chronos_partitioner *self, int root)
{
    const struct fd_identity old = identity(self);
    struct fd_identity now, found;
    if (fd_identify(root, "", &found) < 0)
        return false;
    int r = fd_identify(self->mount.root, "", &now);
    if (!r && same_file(&now, &found))
        return true; /* another thread was faster */
    if (r == -EBADF || (!r && !same_file(&now, &old)) ||
        dup3(root, self->mount.root, O_CLOEXEC) < 0)
        return false;
    atomic_store(&self->device, found.device);
    return true;
}

bool partitioner_again(struct chronos_partitioner *self, int r, bool *tried)
{
    struct chronos_mount found;
    char failed[PATH_MAX];
    if (*tried || (r != -ENOTCONN && r != -ECONNABORTED))
        return false;
    *tried = true;
    if (chronos_mount_open(self->searched ? NULL : self->mount.path, failed, &found) < 0)
        return false;
    /* Never another tree: its ids would mean other partitions. */
    bool good = strcmp(found.path, self->mount.path) == 0 && replace_root(self, found.root);
    chronos_mount_close(&found);
    return good;
}

/* -- its files ----------------------------------------------------------------------------- */

int partitioner_file(struct chronos_partitioner *self, const char *id, const char *name, int flags)
{
    char path[160];
    bool tried = false;
    int length = snprintf(path, sizeof(path), "%s%s%s%s", id ? "partitions/" : "", id ? id : "",
                          id && name[0] != '\0' ? "/" : "", name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return -ENAMETOOLONG;
    int fd;
    do {
        fd = chronos_open(self->mount.root, path, flags);
    } while (partitioner_again(self, fd, &tried));
    return fd;
}

int partitioner_write(struct chronos_partitioner *self, const char *id, const char *name,
                      const char *text, const char *what)
{
    int fd = partitioner_file(self, id, name, O_WRONLY);
    if (fd < 0)
        return partitioner_report(self, id, what, fd);
    int r = chronos_request_send(fd, text);
    close(fd);
    return r < 0 ? partitioner_refused(self, id, what, r) : 0;
}

static int fail_gone(const char *id)
{
    return partitioner_fail(-ENOENT, "There is no partition %s: it has ended.", id);
}

static int fail_denied(struct chronos_partitioner *self, const char *id, int r)
{
    char path[64], owner[CHRONOS_VALUE_MAX];
    snprintf(path, sizeof(path), "partitions/%s/user", id);
    int read = chronos_read(self->mount.root, path, owner, sizeof(owner));
    if (chronos_is_gone(read)) /* the kernel can remember a name after its end, and refuses */
        return fail_gone(id);
    if (!read)
        return partitioner_fail(r, "Permission denied: partition owned by %s.", owner);
    return partitioner_fail(r, "Permission denied: partition %s is not yours.", id);
}

int partitioner_report(struct chronos_partitioner *self, const char *id, const char *what, int r)
{
    char reason[CHRONOS_REASON_MAX];
    if (id && chronos_is_gone(r))
        return fail_gone(id);
    if (r == -ENOTCONN || r == -ECONNABORTED)
        return fail_no_mount(self->mount.path, -ENOTCONN);
    if (id && (r == -EACCES || r == -EPERM))
        return fail_denied(self, id, r);
    return partitioner_fail(r, "%s: %s (the chronosfs on %s).", what, chronos_reason(r, reason),
                            self->mount.path);
}

int partitioner_refused(struct chronos_partitioner *self, const char *id, const char *what, int r)
{
    char message[MESSAGE_MAX];
    if ((!id || !chronos_is_gone(r)) &&
        chronos_read_refusal(&self->mount, r, message, sizeof(message)) == 0)
        return partitioner_fail(r, "%s", message);
    return partitioner_report(self, id, what, r);
}
