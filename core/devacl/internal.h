/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of device access control: the former state of a node (node.c reads, restricts
 * and restores one node) and the list of nodes (saved.c keeps it on disk).
 */
#ifndef CHRONOS_DEVACL_INTERNAL_H
#define CHRONOS_DEVACL_INTERNAL_H

#include "devacl.h"

#include "core/base/boot_id.h"
#include "core/base/child.h"

#include <sys/types.h>

#define DEVACL_ACL_MAX 65536 /* bytes; the kernel's limit for an attribute */

/* An ACL in the format of the attribute system.posix_acl_access; size 0: none. */
struct acl {
    unsigned char *data;
    size_t size;
};

/* Identifies a node. Includes the boot, because a /dev in memory is created at each boot. */
struct identity {
    uint64_t device, inode, rdev;
    int64_t birth_ns; /* 0: the filesystem does not report it */
    char boot[BOOT_ID_MAX];
};

/* Permissions of a node, now or before. */
struct node_state {
    uint32_t uid, gid, mode; /* mode: the lower twelve bits */
    struct acl acl;
};

/* A restricted node. */
struct entry {
    char path[DEVACL_PATH_MAX];
    struct identity identity;
    struct node_state before;
    struct acl applied; /* what devacl_apply set; size 0: set by a previous daemon */
    bool fresh;         /* added in this devacl_apply; not restricted yet */
};

struct devacl {
    struct devacl_options options;
    int directory_fd;
    char boot[BOOT_ID_MAX];
    struct entry *entries;
    size_t count, capacity;
    struct child looker; /* looks for a name that the kernel does not know; pid 0: none */
    bool unsaved;        /* the file could not be updated: retry */
    bool damaged;        /* the file has unreadable lines: keep it before replacing it */
};

/* -- saved.c -- */

/* Add a zeroed entry at the end of the list. Return NULL if out of memory. */
struct entry *saved_add(struct devacl *devacl);
void saved_remove(struct devacl *devacl, size_t index);

/* Read the file into the list. Return 0, also if there is none; sets `message` if it is
 * damaged. */
int saved_load(struct devacl *devacl, struct message *message);
/* Write the list to the file, durably; remove the file if the list is empty. */
int saved_store(struct devacl *devacl, struct message *message);

/* -- node.c -- */

/* Set the message, as one line, if there is none yet. Return `code`. */
int node_message(int code, struct message *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Open `path` with O_PATH, which does not open the device. Return a descriptor, -EBUSY if a user
 * holds the directory of a name that is not known, or another -errno. */
int node_open(struct devacl *devacl, const char *path);
/* Read the identity and the permissions of a node; the caller frees ret_state->acl.data. Return 0,
 * -EOPNOTSUPP if the filesystem has no ACLs, or another -errno. */
int node_read(const struct devacl *devacl, int fd, struct identity *ret_identity,
              struct node_state *ret_state);
/* True if the node is the saved one. */
bool node_is(int fd, const struct identity *now, const struct identity *saved);
/* Return 0 if devacl_apply may change this kind of file, or -EINVAL with a message. */
int node_check_kind(const struct devacl *devacl, int fd, const char *path, struct message *message);
bool node_acl_is_same(const struct acl *a, const struct acl *b);
/* Restrict the node to its holders, changing only what differs; the caller frees ret_acl->data.
 * Return 0, -E2BIG if that is done but not all holders fit in the ACL, or another -errno. */
int node_restrict(const struct devacl *devacl, int fd, const struct node_state *now,
                  const struct devacl_node *node, struct acl *ret_acl);
/* Restore the node, changing only what differs. */
int node_restore(const struct devacl *devacl, int fd, const struct node_state *now,
                 const struct node_state *before);

#endif
