/* SPDX-License-Identifier: Apache-2.0 */
/* Fractions as decimal text, in every locale. */
#ifndef CHRONOS_LIBCHRONOS_FRACTION_H
#define CHRONOS_LIBCHRONOS_FRACTION_H

#include <stdbool.h>

#define FRACTION_MAX 20 /* "0.123456789012345", NUL included */

/* Write `fraction`, above 0 and at most 1, as the shortest decimal number that is read as the same
 * float or else, to 15 digits, as the same double: programs mean 0.1 by 0.1f. False if it is out of
 * range, no number, or less than 15 digits can say. */
bool fraction_text(double fraction, char ret_text[static FRACTION_MAX]);

#endif
