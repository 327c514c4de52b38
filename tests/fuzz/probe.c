/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A minimal fuzzer: shows the build whether clang can link one.
 */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return !data && size > 0;
}
