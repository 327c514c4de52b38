/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the models: random numbers that a seed repeats, and a check that says how to repeat a
 * failure. Included once in a program.
 */
#ifndef CHRONOS_TESTS_MODEL_CHECK_H
#define CHRONOS_TESTS_MODEL_CHECK_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed, random_state, operation;
static const char *operation_name = "setup";

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            model_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                               \
    } while (0)

static void __attribute__((noreturn, format(printf, 4, 5)))
model_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list arguments;

    printf("%s:%d: failed: %s\n  ", file, line, condition);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n  in operation %" PRIu64 " (%s); repeat with CHRONOS_SEED=%" PRIu64 "\n", operation,
           operation_name, seed);
    exit(EXIT_FAILURE);
}

static uint64_t rnd(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

#endif
