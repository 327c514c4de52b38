/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the gate share: a private tmpfs with nodes like /dev/null, other
 * users who try to open them, and how a node looks in one line.
 */
#ifndef CHRONOS_TESTS_DEVACL_HELP_H
#define CHRONOS_TESTS_DEVACL_HELP_H

#include "core/devacl/devacl.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT = 0, ALICE = 6101, BOB = 6102, CAROL = 6103, LAB = 6200, OPS = 6201 };

/* Makes a mount namespace with the tmpfs; 77 when that cannot be, else 0. */
int devacl_world(void);
void devacl_world_end(void);

/* Paths in it, valid until the 64th call after. */
const char *in_dev(const char *name);
const char *in_state(const char *name);
/* Empties both directories. */
void devacl_world_clear(void);

/* A device node (a plain file where the machine allows no nodes). `acl` as setfacl has
 * it, in numbers: "u::rw,u:6101:rw,g::---,m::rw,o::---"; NULL: none. Its path. */
const char *make_node(const char *name, uint32_t uid, uint32_t gid, uint32_t mode, const char *acl);
void set_acl(const char *path, const char *acl);
/* "0 44 0660 HEX": owner, group, mode, the ACL. Freed with the test. */
const char *looks(const char *path);
/* 0 or the errno of opening it for reading and writing as this user. */
int opens(const char *path, uint32_t uid, uint32_t gid);
/* Whether STATE_DIR/gate is there. */
bool is_saved(void);

/* A gate that must be made without a word, with steps told to devacl_steps. */
struct devacl *new_gate(void);
/* Makes one whose options the test knows better. */
extern struct devacl_options devacl_usual;
/* The steps taken since it was cleared, as "write sync ". */
extern char devacl_steps[1024];
/* What happens at the step number devacl_trouble_at (counted down to 0): SIGKILL to
 * itself, or -EIO. -1: nothing. */
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
