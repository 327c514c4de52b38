/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of chronosfs, also as fstab gives it. The table is the only description of the
 * options: --help and chronosfs(8) are printed from it.
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
    const char *argument;      /* "DIR"; NULL: no argument */
    const char *default_value; /* as text; NULL: off */
    const char *help;          /* lower case, no full stop */
};
extern const struct option_row options_rows[]; /* ends with a NULL name */

/* The source of a mount that names none, and the one in chronosfs(8). mount -a takes a source that
 * exists in its working directory for that file, so it is no name that a clone would have. */
#define OPTIONS_SOURCE "fuse.chronosfs"

struct options {
    bool help, version;
    bool fake; /* mount(8) -f: check the arguments and do nothing */
    bool foreground, allow_other, read_only;
    bool remount;               /* change read_only of the tree that is mounted there */
    bool restore_devacl;        /* restore device nodes and mount nothing */
    char restore[PATH_MAX];     /* a backup to restore, mounting nothing; "": none */
    bool any_machine;           /* of another machine, too */
    char mount_point[PATH_MAX]; /* as given */
    char config[PATH_MAX];      /* a file of settings; "": none */
    bool check_config;          /* check the file and do nothing */
    char source[PATH_MAX];      /* what the mount table shows as the source */
    char state_dir[PATH_MAX];   /* "": the default */
    char simulate[1024];        /* "": real devices */
    char devices[4096];         /* names of the devices to manage; "": all */
    char store[16];
    char proctrack[16];
};

/* Returns 0, or -EINVAL with a message. */
int options_parse(int argc, char **argv, struct options *ret_options, struct message *message);
void options_print_help(FILE *file);

#endif
