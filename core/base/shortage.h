/* SPDX-License-Identifier: Apache-2.0 */
/* Which errors pass: memory, descriptors or processes ran out. Nothing may be concluded from them:
 * what could not be read is not gone, and what could not be opened may work a moment later. */
#ifndef CHRONOS_BASE_SHORTAGE_H
#define CHRONOS_BASE_SHORTAGE_H

#include <errno.h>
#include <stdbool.h>

/* Return whether a result, 0 or -errno, is one of them. */
static inline bool shortage_is(int r)
{
    return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EAGAIN;
}

#endif
