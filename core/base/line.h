/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside that is to be shown as one line. Pure. */
#ifndef CHRONOS_BASE_LINE_H
#define CHRONOS_BASE_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a byte may stand in a line: no control character. UTF-8 passes. */
static inline bool line_may_hold(char c)
{
    return (unsigned char)c >= ' ' && c != 0x7f;
}

/* Whether `text` is one printable line (UTF-8 passes) of at least `min` bytes that ends
 * with NUL within `size` bytes. */
bool line_fits(const char *text, size_t min, size_t size);
/* Writes '?' over what may not stand in a line. */
void line_clean(char *text);

#endif
