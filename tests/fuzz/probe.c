/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least there is to fuzz: tells the build whether clang can link a fuzzer.
 */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return !data && size > 0;
}
