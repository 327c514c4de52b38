/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shim knows from its environment about the partitions that its program is
 * inside of, and the reading of their files. The files are the only channel.
 *
 *   CHRONOS_PARTITION    directories of partitions, absolute, separated by ':'
 *   CHRONOS_UNREACHABLE  "allow": let allocations through when the files cannot be
 *                        reached; anything else refuses them
 *   CHRONOS_DEBUG        set and not empty: tell refusals on stderr
 */
#ifndef CHRONOS_LIBCHRONOS_ENVIRONMENT_H
#define CHRONOS_LIBCHRONOS_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A program has one partition on each of its devices. */
#define INSIDE_MAX 16

struct inside {
    unsigned count; /* 0: in no partition, a shim changes nothing */
    char *directory[INSIDE_MAX];
    bool allow_unreachable;
    bool debug;
};

/* Reads the environment, which a program that runs with another's rights does not
 * trust: there it is in no partition. More than INSIDE_MAX partitions are cut off.
 * 0 or -ENOMEM; inside_free gives back what *ret_inside holds. */
int inside_read(struct inside *ret_inside);
void inside_free(struct inside *inside);

/* The first line of DIRECTORY/NAME, without its newline. 0 or a negative -errno;
 * -ENAMETOOLONG where it does not fit. */
int inside_line(const char *directory, const char *name, char *ret_line, size_t size);

/* The same for a file that holds one decimal number. -EINVAL where it does not. */
int inside_number(const char *directory, const char *name, uint64_t *ret_number);

/* Whether DIRECTORY is gone while the tree that it was in is there: then the
 * partition has ended, and its name never comes again. */
bool inside_has_ended(const char *directory);

#endif
