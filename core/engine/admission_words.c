/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts and times in the messages of admission. */
#include "admission_words.h"

#include "units.h"

#include <inttypes.h>
#include <stdio.h>

__extension__ typedef unsigned __int128 uint128;

struct words admission_share_words(uint64_t bytes, uint64_t total)
{
    struct words out;
    uint128 hundredths = total ? ((uint128)bytes * 100 + total / 2) / total : 0;
    if ((hundredths == 0 && bytes > 0) || (hundredths == 100 && bytes < total))
        units_fraction_text(bytes, total, out.text, sizeof(out.text));
    else
        snprintf(out.text, sizeof(out.text), "%" PRIu64 ".%02u", (uint64_t)(hundredths / 100),
                 (unsigned)(hundredths % 100));
    return out;
}

struct words admission_size_words(uint64_t bytes, uint64_t other)
{
    struct words out, same;
    units_size_text(bytes, out.text, sizeof(out.text));
    units_size_text(other, same.text, sizeof(same.text));
    for (size_t i = 0; bytes != other && out.text[i] == same.text[i]; i++) {
        if (!out.text[i]) {
            snprintf(out.text, sizeof(out.text), "%" PRIu64 " bytes", bytes);
            break;
        }
    }
    return out;
}

struct words admission_duration_words(int64_t ns)
{
    struct words out;
    units_duration_text(ns, out.text, sizeof(out.text));
    return out;
}
