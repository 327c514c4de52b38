/* SPDX-License-Identifier: Apache-2.0 */
/* Fractions as text: what was meant, in every locale. */
#include "tests/check.h"
#include "tools/libchronos/fraction.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void says(double fraction, const char *wanted)
{
    char text[FRACTION_MAX] = "untouched";
    ck_assert_msg(fraction_text(fraction, text), "%s", wanted);
    ck_assert_str_eq(text, wanted);
}

static void refused(double fraction)
{
    char text[FRACTION_MAX] = "untouched";
    ck_assert(!fraction_text(fraction, text));
    ck_assert_str_eq(text, "untouched");
}

START_TEST(test_doubles)
{
    says(1, "1");
    says(0.5, "0.5");
    says(0.1, "0.1");
    says(0.1 + 0.2, "0.3");
    says(0.123456789012345, "0.123456789012345");
    says(1.0 / 3, "0.333333333333333");
    says(2.0 / 3, "0.666666666666667");
    says(1e-7, "0.0000001");
    says(1e-15, "0.000000000000001");
    says(1 - 0x1p-53, "1");
    says(0x1p-10, "0.0009765625");
}
END_TEST

/* Ten times 0.1f must not be more than the device. */
START_TEST(test_floats)
{
    says((double)0.1f, "0.1");
    says((double)0.3f, "0.3");
    says((double)0.7f, "0.7");
    says((double)0.15f, "0.15");
    says((double)0.333f, "0.333");
    says((double)0.05f, "0.05");
    says((double)0.0625f, "0.0625");
    says(0x1p-8, "0.00390625");
}
END_TEST

START_TEST(test_every_percent)
{
    char wanted[8], text[FRACTION_MAX];
    for (int percent = 1; percent < 100; percent++) {
        snprintf(wanted, sizeof(wanted), "0.%02d", percent);
        if (wanted[3] == '0')
            wanted[3] = '\0';
        ck_assert(fraction_text(percent / 100.0, text));
        ck_assert_str_eq(text, wanted);
        ck_assert(fraction_text((double)((float)percent / 100), text));
        ck_assert_str_eq(text, wanted);
    }
}
END_TEST

START_TEST(test_refused)
{
    refused(0);
    refused(-0.5);
    refused(1.0000001);
    refused(1e-16);
    refused((double)NAN);
    refused((double)INFINITY);
}
END_TEST

/* Germans write 0,5. */
START_TEST(test_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (setlocale(LC_ALL, names[i]))
            break;
    }
    says(0.5, "0.5");
}
END_TEST

int main(void)
{
    return check_main("fraction", NULL, NULL, test_doubles, test_floats, test_every_percent,
                      test_refused, test_locale);
}
