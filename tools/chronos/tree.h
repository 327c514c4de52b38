/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounted tree: finding it, and reading and writing its files. Everything
 * the commands know and do goes through here, and this goes through open, read
 * and write: `chronos` has no other way in than a shell has.
 */
#ifndef CHRONOS_CHRONOS_TREE_H
#define CHRONOS_CHRONOS_TREE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tree {
    int root; /* O_PATH descriptor of the mount point */
    char path[PATH_MAX];
};

/* Finds the mount: `wanted` (--mount) if not NULL, CHRONOS_MOUNT, the mounts of
 * this process, /chronos. 0 and *ret_tree; or EXIT_NO_MOUNT, having said why
 * unless `quiet`. */
int tree_open(const char *wanted, bool quiet, struct tree *ret_tree);

/* A file without its last newline, cut at `size`. 0 or -errno. */
int tree_read(int directory, const char *path, char *text, size_t size);
/* A whole file, ending with '\0', to be freed. 0 or -errno. */
int tree_read_all(int directory, const char *path, char **ret_text);
/* The same from an open file, read from its beginning. */
int tree_read_fd(int file, char **ret_text);
/* Writes `text` and a newline in one write. 0 or -errno. */
int tree_write(int directory, const char *path, const char *text);

/* Says why a write failed: the message that `status` has for this user, or
 * words for the error. Returns EXIT_REFUSED. */
int tree_refused(const struct tree *tree, int error);
/* Says that `what` failed with -error in words; returns the exit code for it. */
int tree_failed(const struct tree *tree, const char *what, int error);

/* "0", "gpu0" -> 0. False and *ret_index untouched for anything else. */
bool device_parse(const char *text, unsigned *ret_index);
/* "p12" -> 12. */
bool id_parse(const char *text, uint64_t *ret_id);
/* What is numbered in a directory: pN or gpuN, in order. Returns a list to be
 * freed and its length; or -errno. */
int tree_numbers(int directory, const char *path, const char *prefix, uint64_t **ret_numbers,
                 size_t *ret_count);

/* Both say it and return EXIT_UNKNOWN. */
int no_partition(const char *text);
int no_device(const char *text);

#endif
