/* SPDX-License-Identifier: Apache-2.0 */
/* Print rows of --help: a name and its explanation, in lines of 80 columns. */
#ifndef CHRONOS_BASE_HELP_ROW_H
#define CHRONOS_BASE_HELP_ROW_H

#include <stdio.h>

/* Print "  NAME" and the text, whose lines all begin in `column`. A name that leaves no room for
 * two blanks has a line of its own. */
void help_row(FILE *file, const char *name, int column, const char *text);

#endif
