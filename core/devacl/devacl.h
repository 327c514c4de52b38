/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device access control: only current holders of a partition can open a device node. Writes access
 * control lists (ACLs) on the nodes and restores the former permissions. It must not know what a
 * partition, a device or a vendor is: the caller lists the nodes and the users of each.
 *
 * A restricted node belongs to root, with rw; its group and others have no permissions; each given
 * uid and gid has an entry with rw. The reasons:
 * - Access by group or others ("video", 0666) lets in users who hold nothing. The group stays the
 *   same, without permissions.
 * - The owner of a node can chmod it, so only root owns it while it is restricted.
 * - uid 0 of the machine always passes: the kernel lets CAP_DAC_OVERRIDE ignore any mode, so an
 *   entry against it would have no effect. Root of a user namespace does not pass.
 * - The mask is always rw, so ls shows 0660 for any holders: a program that compares the mode with
 *   a wanted 0660 (nvidia-modprobe with NVreg_DeviceFileMode=0660) has nothing to change.
 *
 * The kernel checks permissions when a node is opened. An open descriptor stays usable, even after
 * its user's last partition ended: on_expiry and the watchdog end that use, not this room. A
 * program that dropped root (nvidia-persistenced, a display server, monitoring) is an ordinary user
 * and needs a partition.
 *
 * The former state of a node (owner, group, mode, exact ACL, and its identity) is durable in
 * STATE_DIR/device_access before the node is changed for the first time, until it is restored. So
 * after a crash nodes stay as the last devacl_apply left them: no new user gets in, and the next
 * devacl_new or `chronosfs --restore-device-access` knows what to restore.
 *
 * Changes by others to a restricted node do not last and are not saved: logind giving the user of a
 * seat an entry, udev or nvidia-modprobe setting a mode. devacl_check reports them, devacl_apply
 * reverts them, devacl_release restores the state before the restriction. So a user who came to the
 * seat since has no entry afterwards, and one who left has an old one, until logind updates the
 * seat (at a change of user, or after `udevadm trigger NODE`). A replaced node (another inode,
 * birth time or device number, or another boot with a /dev in memory) is not the saved one: it
 * never gets the state of the old one, and is restricted as a new node.
 *
 * One thread uses a struct devacl. Calls can block on a disk sync. Functions return 0 or -errno
 * with one message.
 */
#ifndef CHRONOS_DEVACL_DEVACL_H
#define CHRONOS_DEVACL_DEVACL_H

#include "core/base/message.h"
#include "core/base/steps.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVACL_PATH_MAX    256  /* of a node's path, NUL included */
#define DEVACL_HOLDERS_MAX 8000 /* uids and gids of one node: the capacity of an ACL */

struct devacl;

struct devacl_options {
    const char *state_dir; /* has the file "device_access"; must exist; copied */
    bool plain_files;      /* for tests: accept regular files too */
    /* For tests: called before each step that changes the machine: "write", "sync", "rename",
     * "sync-directory", "chown", "acl", "chmod", "unlink". */
    struct steps steps;
};

/* A node and the users and groups that may open it for reading and writing, besides root. Repeated
 * ids and uid 0 are ignored. If they are more than fit in an ACL, users come before groups, and
 * within each the order of the caller counts. Borrowed during the call. */
struct devacl_node {
    const char *path; /* absolute, "/dev/nvidia0"; each path once */
    const uint32_t *uids;
    size_t uid_count;
    const uint32_t *gids;
    size_t gid_count;
};

/* Read what a previous daemon saved; changes no node. The caller frees it with devacl_free.
 * `message` can be set with result 0 too: if lines of the file are damaged, their nodes stay
 * restricted until an administrator fixes them, and the file is kept as device_access.damaged.
 * Otherwise it is "". Return 0, -EPROTO if the file is of another version, or another -errno. */
int devacl_new(const struct devacl_options *options, struct devacl **ret_devacl,
               struct message *message);
/* Free the memory and leave the nodes as they are. Accepts NULL; returns NULL. */
struct devacl *devacl_free(struct devacl *devacl);
/* Return the number of restricted nodes, including those read by devacl_new. 0: nothing to
 * release. */
size_t devacl_count(const struct devacl *devacl);

/* Restrict exactly these nodes: add new ones, restore those not named, and set the ACLs that
 * differ. Checks every node, so it also reverts changes by others; costs a few system calls per
 * unchanged node. A node that does not exist is not an error and is dropped from the list. A node
 * that fails stays as it was, and the others are still processed; then the first error is returned,
 * with its message:
 *   -EPERM       the daemon is not root: nothing was changed
 *   -EOPNOTSUPP  the node's filesystem has no ACLs: the node was not changed
 *   -EINVAL      a symbolic link, not a character device, or an invalid path or id
 *   -E2BIG       the node is restricted, but some of its holders did not fit in the ACL
 *   other        a state file could not be written: no new node was changed */
int devacl_apply(struct devacl *devacl, const struct devacl_node *nodes, size_t count,
                 struct message *message);

/* Called by devacl_check: what others changed of `path`, as one message. */
typedef void devacl_changed_fn(void *context, const char *path, const char *message);
/* Check whether the nodes are as the last devacl_apply left them, without changing anything.
 * Return how many are not; fn (may be NULL) is called for each. Nodes read by devacl_new are not
 * checked until a devacl_apply has named them. */
size_t devacl_check(struct devacl *devacl, devacl_changed_fn *fn, void *context);

/* Restore every node and forget it; repeating it is harmless. On an error the remaining nodes are
 * still restored; those that could not be stay saved, for another try. */
int devacl_release(struct devacl *devacl, struct message *message);

#endif
