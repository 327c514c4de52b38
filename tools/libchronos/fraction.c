/* SPDX-License-Identifier: Apache-2.0 */
/* Write fractions; see fraction.h. printf would put the locale's decimal point, or an exponent. */
#include "fraction.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGITS_MAX       15
#define FLOAT_DIGITS_MAX 9 /* tell any two floats from 0.1 to 1 apart */

static bool is_float(double number)
{
    double as_float = (float)number;
    return !(as_float < number) && !(as_float > number);
}

/* Return whether `digits` decimals say this float. */
static bool says_float(double fraction, double scale)
{
    double rounded = (double)(uint64_t)(fraction * scale + 0.5) / scale;
    double difference = (double)(float)rounded - fraction;
    return !(difference < 0) && !(difference > 0);
}

bool fraction_text(double fraction, char ret_text[static FRACTION_MAX])
{
    if (!(fraction > 0 && fraction <= 1))
        return false;
    bool short_one = is_float(fraction);
    uint64_t scale = 1;
    for (int digits = 0; digits < DIGITS_MAX; digits++) {
        if (short_one && digits <= FLOAT_DIGITS_MAX && says_float(fraction, (double)scale))
            break;
        scale *= 10;
    }
    uint64_t number = (uint64_t)(fraction * (double)scale + 0.5);
    if (number == 0)
        return false;
    while (scale > 1 && number % 10 == 0) {
        number /= 10;
        scale /= 10;
    }
    if (scale == 1) { /* 1, or so near to it that 15 digits cannot tell */
        memcpy(ret_text, "1", 2);
        return true;
    }
    char *end = ret_text;
    *end++ = '0';
    *end++ = '.';
    for (uint64_t place = scale / 10; place > 0; place /= 10)
        *end++ = (char)('0' + number / place % 10);
    *end = '\0';
    return true;
}
