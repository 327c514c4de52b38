/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the tests of device access control: a private tmpfs with nodes like /dev/null, other
 * users that try to open them, and the attributes of a node on one line.
 */
#ifndef CHRONOS_TESTS_DEVACL_HELP_H
#define CHRONOS_TESTS_DEVACL_HELP_H

#include "tests/check.h"

#include "core/devacl/devacl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT = 0, ALICE = 6101, BOB = 6102, CAROL = 6103, LAB = 6200, OPS = 6201 };

/* Makes a mount namespace with the tmpfs. Returns 0, or 77 when that is not permitted. */
int devacl_world(void);
void devacl_world_end(void);

/* Return paths in it, valid until the 64th call after. */
const char *in_dev(const char *name);
const char *in_state(const char *name);
/* Empties both directories. */
void devacl_world_clear(void);

/* Makes a device node (a plain file where device nodes are not permitted). Takes `acl` in the
 * form of setfacl, in numbers: "u::rw,u:6101:rw,g::---,m::rw,o::---"; NULL: no ACL. Returns
 * its path. */
const char *make_node(const char *name, uint32_t uid, uint32_t gid, uint32_t mode, const char *acl);
void set_acl(const char *path, const char *acl);
/* Returns "0 44 0660 HEX": owner, group, mode, the ACL. Freed with the test. */
const char *looks(const char *path);
/* Opens it for reading and writing as this user. Returns 0 or the errno. */
int opens(const char *path, uint32_t uid, uint32_t gid);
/* Returns whether STATE_DIR/device_access exists. */
bool is_saved(void);

/* Makes a struct devacl, without any message, that records its steps in devacl_steps. */
struct devacl *new_devacl(void);
/* Makes one with the given options. */
extern struct devacl_options devacl_usual;
/* The steps taken since this was cleared, as "write sync ". */
extern char devacl_steps[1024];
/* Action at step number devacl_trouble_at (counted down to 0): SIGKILL to itself, or -EIO. -1:
 * none. */
extern int devacl_trouble_at;
extern bool devacl_trouble_kills;
extern bool devacl_trouble_stays; /* every step from then on fails */

/* Applies for nodes, each as {path, uids, gids} with 0 at the end of a list. */
struct want {
    const char *path;
    uint32_t uids[4], gids[4];
};
int apply(struct devacl *devacl, const struct want *wants, size_t count);
extern struct message devacl_message;

#define APPLY(devacl, ...)                                                                         \
    apply(devacl, (const struct want[]){__VA_ARGS__},                                              \
          sizeof((const struct want[]){__VA_ARGS__}) / sizeof(struct want))
int release(struct devacl *devacl);

int devacl_run(const char *name, const TTest *const *tests, size_t count);

#endif
