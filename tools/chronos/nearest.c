/* SPDX-License-Identifier: Apache-2.0 */
/* Guess by the number of bytes to insert, remove, replace or swap; see nearest.h. */
#include "nearest.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Return the distance of two words that are not longer than NEAREST_WORD_MAX. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[NEAREST_WORD_MAX + 1][NEAREST_WORD_MAX + 1];
    for (size_t i = 0; i <= a_length; i++) {
        for (size_t j = 0; j <= b_length; j++) {
            if (i == 0 || j == 0) {
                row[i][j] = i + j;
                continue;
            }
            size_t replaced = row[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            row[i][j] = least(replaced, least(row[i - 1][j], row[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[i][j] = least(row[i][j], row[i - 2][j - 2] + 1);
        }
    }
    return row[a_length][b_length];
}

struct nearest nearest_new(const char *text, size_t length)
{
    return (struct nearest){.text = text, .length = length};
}

void nearest_offer(struct nearest *nearest, const char *word)
{
    size_t length = strlen(word);
    if (nearest->length < 2 || nearest->length > NEAREST_WORD_MAX || length > NEAREST_WORD_MAX)
        return;
    bool begins = length > nearest->length && memcmp(word, nearest->text, nearest->length) == 0;
    size_t far = distance(nearest->text, nearest->length, word, length);
    size_t limit = nearest->length < 4 ? 1 : 2;
    if (begins)
        far = 1;
    if (far <= limit && (!nearest->best[0] || far < nearest->distance)) {
        memcpy(nearest->best, word, length + 1);
        nearest->distance = far;
    }
}

const char *nearest_question(struct nearest *nearest, const char *before)
{
    nearest->question[0] = '\0';
    if (nearest->best[0])
        snprintf(nearest->question, sizeof(nearest->question), " Did you mean %s%s?", before,
                 nearest->best);
    return nearest->question;
}
