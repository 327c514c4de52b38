/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted: the lines of /proc/PID/mountinfo. */
#ifndef CHRONOS_BASE_MOUNTINFO_H
#define CHRONOS_BASE_MOUNTINFO_H

#include <stdbool.h>
#include <stdio.h>

/* One mount. The texts are parts of its line. */
struct mountinfo {
    char *device;  /* "0:53" */
    char *root;    /* which part of the filesystem it shows: "/", the whole */
    char *point;   /* where it is mounted */
    char *type;    /* "ext4", "fuse.chronosfs" */
    char *source;  /* "/dev/sda1", "none" */
    char *options; /* of the filesystem: "rw,user_id=0" */
};

/* Cuts `line` into its fields, paths as they are and not as they are escaped there. False:
 * it is no line of mountinfo, and may be half cut. */
bool mountinfo_parse(char *line, struct mountinfo *ret_mount);

/* The file of a process, line by line. A mount that lies over another comes later. */
struct mountinfo_reader {
    FILE *file;
    char *line;
    size_t room;
};

/* The mounts that this process sees; proc_fd is a descriptor of /proc, or -1. 0 or
 * -errno. */
int mountinfo_open(struct mountinfo_reader *ret_reader, int proc_fd);
/* The next mount, good until the next call; false at the end. */
bool mountinfo_next(struct mountinfo_reader *reader, struct mountinfo *ret_mount);
void mountinfo_close(struct mountinfo_reader *reader);

#endif
