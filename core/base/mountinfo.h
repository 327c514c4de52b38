/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts: the lines of /proc/PID/mountinfo. */
#ifndef CHRONOS_BASE_MOUNTINFO_H
#define CHRONOS_BASE_MOUNTINFO_H

#include <stdbool.h>
#include <stdio.h>

/* One mount. All texts point into its line. */
struct mountinfo {
    int id, parent;
    char *device;  /* "0:53" */
    char *root;    /* the part of the filesystem that is mounted; "/": all of it */
    char *point;   /* where it is mounted */
    char *type;    /* "ext4", "fuse.chronosfs" */
    char *source;  /* "/dev/sda1", "none" */
    char *options; /* of the superblock: "rw,user_id=0" */
};

/* Split `line` into fields and unescape paths, in place. False if it is malformed; it may be
 * modified then, too. */
bool mountinfo_parse(char *line, struct mountinfo *ret_mount);

/* Find the option NAME=NUMBER of the superblock. Only the kernel and the filesystem write there,
 * while FUSE lets every user choose the source and the subtype. False if there is none. */
bool mountinfo_number(const struct mountinfo *mount, const char *name, unsigned long *ret_number);

/* Read the file of a process line by line. A mount on top of another comes later. */
struct mountinfo_reader {
    FILE *file;
    char *line;
    size_t room;
};

/* Open the mounts that this process sees. proc_fd is a descriptor of a procfs, or -1 for /proc. 0
 * or -errno. */
int mountinfo_open(struct mountinfo_reader *ret_reader, int proc_fd);
/* Read the next mount, valid until the next call; false at the end. */
bool mountinfo_next(struct mountinfo_reader *reader, struct mountinfo *ret_mount);
void mountinfo_close(struct mountinfo_reader *reader);

#endif
