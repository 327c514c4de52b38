/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work in the tree that may never end. Any user can hold a directory of the tree, by listing it
 * into memory that does not come; who looks up or removes a name there hangs, and no signal ends
 * that (docs/security.md). Slurm would wait for a prolog, an epilog or slurmd in that state, and
 * drain the node.
 */
#ifndef CHRONOS_SLURM_ASIDE_H
#define CHRONOS_SLURM_ASIDE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* The most that comes back, at once or not at all. */
#define ASIDE_MAX PIPE_BUF

/* Call work(data) in a process of its own, which keeps the descriptor `kept` alone, and wait for
 * 10 seconds at most. True: *data, of `size` bytes, is what it has made of it. False: *data is
 * unchanged, and when it is done, if ever, it calls undo(data) (NULL: nothing). */
bool aside_do(void (*work)(void *data), void (*undo)(void *data), void *data, size_t size,
              int kept);

#endif
