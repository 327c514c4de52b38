/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the form of every text that vendors give. */
#ifndef CHRONOS_TESTS_GPU_ONE_LINE_H
#define CHRONOS_TESTS_GPU_ONE_LINE_H

#include "core/base/line.h"

#include "tests/check.h"

#include <string.h>

static inline void one_line(const char *text, size_t size)
{
    ck_assert(line_fits(text, 0, size));
    ck_assert(text[0] == '\0' || (text[0] != ' ' && text[strlen(text) - 1] != ' '));
}

/* Of an array. */
#define ONE_LINE(field) one_line(field, sizeof(field))

#endif
