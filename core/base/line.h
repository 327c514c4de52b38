/* SPDX-License-Identifier: Apache-2.0 */
/* Untrusted text that must be displayed as one line. Pure. */
#ifndef CHRONOS_BASE_LINE_H
#define CHRONOS_BASE_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Return whether a line may contain this byte: no control characters. UTF-8 passes. */
static inline bool line_may_hold(char c)
{
    return (unsigned char)c >= ' ' && c != 0x7f;
}

/* Return whether `text` is one printable line (UTF-8 passes) of at least `min` bytes,
 * NUL-terminated within `size` bytes. */
bool line_fits(const char *text, size_t min, size_t size);
/* Replace bytes that a line may not contain by '?'. */
void line_clean(char *text);

#endif
