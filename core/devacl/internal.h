/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the gate share: a node as it was before (node.c reads, closes
 * and puts back one node) and the list of them (saved.c keeps it on disk).
 */
#ifndef CHRONOS_DEVACL_INTERNAL_H
#define CHRONOS_DEVACL_INTERNAL_H

#include "devacl.h"

#include "core/base/boot_id.h"

#include <sys/types.h>

#define DEVACL_ACL_MAX 65536 /* bytes: what the kernel takes as one attribute */

/* An ACL as the attribute system.posix_acl_access has it; size 0: there is none. */
struct acl {
    unsigned char *data;
    size_t size;
};

/* Which node it is. `boot` counts because a /dev in memory begins anew with each. */
struct identity {
    uint64_t device, inode, rdev;
    int64_t birth_ns; /* 0: its filesystem does not tell */
    char boot[BOOT_ID_MAX];
};

/* How a node is, or was. */
struct look {
    uint32_t uid, gid, mode; /* mode: the lower twelve bits */
    struct acl acl;
};

/* A node in the gate. */
struct entry {
    char path[DEVACL_PATH_MAX];
    struct identity identity;
    struct look before;
    struct acl applied; /* what devacl_apply wrote; size 0: a gate before this one did */
    bool fresh;         /* entered in this devacl_apply; not closed yet */
};

struct devacl {
    struct devacl_options options;
    int directory_fd;
    char boot[BOOT_ID_MAX];
    struct entry *entries;
    size_t count, capacity;
    bool unsaved; /* the file could not be made as the list is: to be tried again */
    bool damaged; /* the file has lines that cannot be read: kept before it is replaced */
};

/* -- saved.c -- */

/* A new entry at the end of the list, all zero; NULL: no memory. */
struct entry *saved_add(struct devacl *devacl);
void saved_remove(struct devacl *devacl, size_t index);

/* Reads the file into the gate; 0, also when there is none. Damage is told. */
int saved_load(struct devacl *devacl, struct message *message);
/* Makes the file as the gate is, durably; without entries there is none. */
int saved_store(struct devacl *devacl, struct message *message);

/* -- node.c -- */

/* Sets the message if there is none yet, as one line; returns `code`. */
int node_say(int code, struct message *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Opens what is at `path` without using it. -ENOENT: nothing. */
int node_open(const char *path);
/* Which node it is and how it is; the caller frees ret_look->acl.data.
 * -EOPNOTSUPP: its filesystem has no ACLs. */
int node_read(const struct devacl *devacl, int fd, struct identity *ret_identity,
              struct look *ret_look);
/* Whether the node is the one that was saved. */
bool node_is(int fd, const struct identity *now, const struct identity *saved);
/* Whether devacl_node_apply may touch such a thing at all. */
int node_check_kind(const struct devacl *devacl, int fd, const char *path, struct message *message);
/* The ACL of a closed node with these holders; -ENOMEM, -E2BIG. */
int node_holders_acl(const struct devacl_node *node, struct acl *ret_acl);
bool node_acl_is_same(const struct acl *a, const struct acl *b);
/* Makes the node as it is in the gate, as far as it differs. */
int node_close(const struct devacl *devacl, int fd, const struct look *now, const struct acl *acl);
/* Makes the node as it was, as far as it differs. */
int node_put_back(const struct devacl *devacl, int fd, const struct look *now,
                  const struct look *before);

#endif
