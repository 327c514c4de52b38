/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said on the command line of chronosfs and in fstab. The table is
 * the only place where an option is described: --help and chronosfs(8) are
 * printed from it.
 */
#ifndef CHRONOS_DAEMON_OPTIONS_H
#define CHRONOS_DAEMON_OPTIONS_H

#include "core/base/message.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct option_row {
    const char *name;          /* "-f", "--state-dir", "-o state_dir" */
    const char *argument;      /* "DIR"; NULL: takes none */
    const char *default_value; /* in words; NULL: off */
    const char *help;          /* what it does: no capital, no full stop */
};
extern const struct option_row option_rows[]; /* ends with a NULL name */

struct options {
    bool help, version;
    bool fake; /* mount(8) -f: look at the arguments and do nothing */
    bool foreground, allow_other, read_only;
    bool restore_devacl;        /* put back what a dead daemon left, and mount nothing */
    char mount_point[PATH_MAX]; /* as given */
    char state_dir[PATH_MAX];   /* "": the default */
    char simulate[1024];        /* "": real devices */
    char store[16];
    char proctrack[16];
};

/* 0, or -EINVAL with a message that says what to do. */
int options_parse(int argc, char **argv, struct options *ret_options, struct message *message);
void options_print_help(FILE *file);

#endif
