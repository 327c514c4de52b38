/* SPDX-License-Identifier: Apache-2.0 */
/* Run a program of the vendor's, with all that it reads and prints, for a limited time. */
#ifndef CHRONOS_SHARING_COMMAND_H
#define CHRONOS_SHARING_COMMAND_H

#include <stddef.h>

/* Run argv[0], found in PATH, with these variables and PATH alone; `input` is its standard input.
 * What it prints to both streams goes to `output`, NUL-terminated and cut at `size`. Return its
 * exit status; -ETIMEDOUT: it was killed after limit_ms; -ENOENT: there is no such program; or
 * another -errno. A process that it leaves behind in the background does not keep the call. */
int command_run(const char *const *argv, const char *const *environment, const char *input,
                char *output, size_t size, int limit_ms);

#endif
