/* SPDX-License-Identifier: Apache-2.0 */
/* Print rows of --help; see help_row.h. */
#include "help_row.h"

#include <string.h>

#define WIDTH 80

void help_row(FILE *file, const char *name, int column, const char *text)
{
    int at = fprintf(file, "  %s", name);
    if (at + 2 > column) {
        fputc('\n', file);
        at = 0;
    }
    fprintf(file, "%*s", column - at, "");
    at = column;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (at > column && at + 1 + length > WIDTH) {
            fprintf(file, "\n%*s", column, "");
            at = column;
        }
        at += fprintf(file, "%s%.*s", at > column ? " " : "", length, text);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', file);
}
