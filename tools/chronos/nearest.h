/* SPDX-License-Identifier: Apache-2.0 */
/* Guess what was meant by a word that is not understood. */
#ifndef CHRONOS_TOOLS_NEAREST_H
#define CHRONOS_TOOLS_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

/* The best guess so far. */
struct nearest {
    const char *text; /* the word given, of `length` bytes */
    size_t length;
    const char *best; /* NULL: nothing is near */
    size_t distance;  /* of `best` */
};
/* Start with a word. */
struct nearest nearest_new(const char *text, size_t length);
/* Offer a word that would be understood. The first of several that are equally near is kept. */
void nearest_offer(struct nearest *nearest, const char *word);

#endif
