/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzzer demands; a failure is a finding. */
#ifndef CHRONOS_FUZZ_REQUIRE_H
#define CHRONOS_FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
