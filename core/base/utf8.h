/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as strict readers take it. Pure. */
#ifndef CHRONOS_BASE_UTF8_H
#define CHRONOS_BASE_UTF8_H

#include <stddef.h>

/* Return the length of the well-formed UTF-8 sequence at `text`; 0: malformed. */
size_t utf8_length(const unsigned char *text);

#endif
