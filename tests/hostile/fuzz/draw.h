/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of a hostile user: values drawn by chance, plausible and wild, for the arguments
 * of system calls on a mounted tree. What is drawn depends on the seed alone; what a slot or a
 * recent id stands for depends on what happened before.
 */
#ifndef CHRONOS_HOSTILE_DRAW_H
#define CHRONOS_HOSTILE_DRAW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define DRAW_PATH_MAX   8192
#define DRAW_BUFFER_MAX ((size_t)1 << 20)
#define DRAW_IDS_MAX    ((size_t)1 << 26)

#define DRAW_ONE_OF(list) ((list)[draw_below(sizeof(list) / sizeof((list)[0]))])

/* Reads the names of the tree and the request lines in the directory `seeds`; exits on failure.
 * `ids` has a byte for each id that was given out. */
void draw_open(const char *mount, const char *seeds, uint8_t *ids, uint64_t *newest,
               uint64_t *twice);
void draw_seed(uint64_t seed);

uint64_t draw_next(void);
uint64_t draw_below(uint64_t limit);
/* True once in `times`. */
int draw_once_in(unsigned times);
/* A random part of these bits: mostly few of them. */
uint64_t draw_bits(uint64_t bits);

/* A path into the tree: mostly of a file that is there. Valid until the fourth call after. */
const char *draw_path(void);
/* A path of a file that writes change. */
const char *draw_settable(void);
/* A line for the file of that path; its length may be larger than a string's. */
const char *draw_text(const char *path, size_t *ret_length);
/* A request line with its newline. */
const char *draw_request(size_t *ret_length);

/* A buffer: readable and writable, half of it, not at all, no address. */
void *draw_pointer(void);
size_t draw_size(void);
off_t draw_offset(void);
int64_t draw_number(void);
void draw_vector(struct iovec vector[4]);

/* Descriptors: a process has a few slots, and some of them are open files of the tree. */
int draw_fd(void);
/* Puts a descriptor into a slot that is drawn, and closes the one before. */
void draw_keep(int fd, const char *path);
/* The path that the descriptor of a slot was opened with, or "". */
const char *draw_path_of(int fd);

/* Tells about a new partition: an id read back. */
void draw_note_id(uint64_t id);

#endif
