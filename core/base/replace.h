/* SPDX-License-Identifier: Apache-2.0 */
/* Replace a file as a whole: readers find the old text or the new one. It is not synced. */
#ifndef CHRONOS_BASE_REPLACE_H
#define CHRONOS_BASE_REPLACE_H

#include <stdio.h>

/* Open the new text of the file `name` in the directory `dir`, with mode 0600. Its own name until
 * it is complete is `name` with ".new". NULL: errno says why. */
FILE *replace_begin(int dir, const char *name);
/* Close it, and put it in the place of the file. 0; or -errno, and the old file stays. */
int replace_end(FILE *file, int dir, const char *name);

#endif
