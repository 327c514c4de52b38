/* SPDX-License-Identifier: Apache-2.0 */
/* Guess what was meant by a word that is not understood. */
#ifndef CHRONOS_TOOLS_NEAREST_H
#define CHRONOS_TOOLS_NEAREST_H

#include <stddef.h>

#define NEAREST_WORD_MAX 24 /* longer words are not guessed */

/* The best guess so far. */
struct nearest {
    const char *text; /* the word given, of `length` bytes */
    size_t length;
    char best[NEAREST_WORD_MAX + 1]; /* "": nothing is near */
    size_t distance;                 /* of `best` */
    char question[NEAREST_WORD_MAX + 32];
};
/* Start with a word. */
struct nearest nearest_new(const char *text, size_t length);
/* Offer a word that would be understood. The first of several that are equally near is kept. */
void nearest_offer(struct nearest *nearest, const char *word);
/* Return what follows the message that the word is not understood: " Did you mean list?", with
 * `before` in front of the guess; or "" without one. It points into *nearest. */
const char *nearest_question(struct nearest *nearest, const char *before);

#endif
