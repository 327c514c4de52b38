/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: device nodes that only those can open who hold a partition now. It
 * writes access control lists (ACLs) on the nodes and puts back what was there.
 * It must not know what a partition, a device or a vendor is: the caller says
 * which nodes there are and who may open each.
 *
 * How a node looks while it is in the gate: it belongs to root, with rw; its group
 * and others have nothing, whatever they had; each uid and gid that was named has
 * an entry with rw. Why so:
 * - Access by group or others ("video", 0666) is what the gate is there to end: it
 *   lets in people who hold nothing. The group stays what it is, without rights.
 * - Whoever owns a node can chmod it, so nobody but root owns one meanwhile.
 * - uid 0 of the machine passes: the kernel lets CAP_DAC_OVERRIDE past any mode, so
 *   an entry that kept it out would only look as if it did. Root of a user
 *   namespace does not pass.
 * - The mask is always rw, so ls shows 0660 whoever is in: a program that compares
 *   the mode with a wanted 0660 (nvidia-modprobe with NVreg_DeviceFileMode=0660)
 *   finds nothing to change.
 *
 * The kernel checks when a node is opened. A descriptor that is open stays usable,
 * also after its user's last partition ended: what ends then ends through on_expiry
 * and the watchdog, not here. A program that dropped root (nvidia-persistenced, a
 * display server, monitoring) is a user like others and needs a partition.
 *
 * What was there (owner, group, mode, ACL to the byte, and which inode it was) is
 * durable in STATE_DIR/gate before a node is changed for the first time, and stays
 * there until the node has it back. So after a crash nodes are as the last
 * devacl_apply left them: nobody new gets in, and the next devacl_new or
 * `chronosfs --restore-device-access` knows what to put back.
 *
 * What others do to a node meanwhile does not last and is not remembered: logind
 * giving the user of a seat an entry, udev or nvidia-modprobe setting a mode.
 * devacl_check tells it, devacl_apply takes it away, devacl_release brings back what was
 * there before the gate. So a user who came to the seat meanwhile has no entry
 * afterwards, and one who left has an old one, until logind looks at the seat again
 * (a change of user, or `udevadm trigger NODE`). A node that was replaced (another
 * inode, birth or device number, or another boot with a /dev in memory) is not the
 * one that was saved: it never gets what the old one had, and enters the gate anew.
 *
 * One thread uses a gate. Calls may block for a disk's sync.
 * Errors: 0 or -errno with one message.
 */
#ifndef CHRONOS_DEVACL_DEVACL_H
#define CHRONOS_DEVACL_DEVACL_H

#include "core/base/message.h"
#include "core/base/steps.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVACL_PATH_MAX    256  /* of a node, with its NUL */
#define DEVACL_HOLDERS_MAX 8000 /* uids and gids of one node: what one ACL can hold */

struct devacl;

struct devacl_options {
    const char *state_dir; /* the file "device_access" is kept there; must exist; copied */
    bool plain_files;      /* for tests: also takes what is no character device */
    /* For tests, before each step that changes something on the machine: "write", "sync",
     * "rename", "sync-directory", "chown", "acl", "chmod", "unlink". */
    struct steps steps;
};

/* A node and who may open it for reading and writing, beside root. Any order;
 * repeated ids and uid 0 are the same as without. Borrowed during the call. */
struct devacl_node {
    const char *path; /* absolute, as "/dev/nvidia0"; each path once */
    const uint32_t *uids;
    size_t uid_count;
    const uint32_t *gids;
    size_t gid_count;
};

/* Reads what a gate before this one saved; changes no node. The caller frees the
 * gate with devacl_free. `message` may be told something with result 0 too (lines of
 * the file are damaged: their nodes stay as they are until somebody looks; the file
 * is kept as gate.damaged), else it is "". -EPROTO: the file is of a newer version. */
int devacl_new(const struct devacl_options *options, struct devacl **ret_devacl,
               struct message *message);
/* Frees the memory and leaves the nodes as they are; NULL is fine; returns NULL. */
struct devacl *devacl_free(struct devacl *devacl);
/* How many nodes the gate holds now (also: found by devacl_new). 0: nothing to release. */
size_t devacl_count(const struct devacl *devacl);

/* Makes the machine as it is wanted: nodes that are not in the gate enter it, nodes
 * in it that are not named get back what they had and leave it, others get the
 * entries that differ. Looks at every node, so it also mends what others changed;
 * costs a few system calls for a node where nothing differs. A node that does not
 * exist (any more) is no error and is not in the gate. Where one node fails, it
 * stays as it was and the others are done all the same; then the first error is
 * returned, with its message:
 * -EPERM       the daemon is not root: nothing was changed
 * -EOPNOTSUPP  the node's filesystem has no ACLs: nothing was changed there
 * -EINVAL      a symbolic link, no character device, a path or an id that cannot be
 * -E2BIG       more holders than an ACL has room for
 * other        a file of the state could not be written: no new node was changed */
int devacl_apply(struct devacl *devacl, const struct devacl_node *nodes, size_t count,
                 struct message *message);

/* Told by devacl_check: what somebody else did to `path`, as one sentence. */
typedef void devacl_changed_fn(void *context, const char *path, const char *message);
/* Looks whether the nodes still are as the last devacl_apply left them, and changes
 * nothing. Returns how many are not; fn (may be NULL) is called for each. Nodes that
 * were only found by devacl_new are not looked at before a devacl_apply named them. */
size_t devacl_check(const struct devacl *devacl, devacl_changed_fn *fn, void *context);

/* Puts every node back as it was and forgets it. Twice is harmless. On an error the
 * rest is done all the same; what could not be put back stays saved, to try again. */
int devacl_release(struct devacl *devacl, struct message *message);

#endif
