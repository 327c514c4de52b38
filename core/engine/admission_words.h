/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts and times in the messages of admission, as values that live until the end of the
 * expression. It must not know devices.
 */
#ifndef CHRONOS_ENGINE_ADMISSION_WORDS_H
#define CHRONOS_ENGINE_ADMISSION_WORDS_H

#include <stdint.h>

struct words {
    char text[48];
};

/* "0.50": a share with two decimals, or more where they would read as none or all. */
struct words admission_share_words(uint64_t bytes, uint64_t total);
/* A size; in bytes if `other` would read the same. */
struct words admission_size_words(uint64_t bytes, uint64_t other);
struct words admission_duration_words(int64_t ns);

#endif
