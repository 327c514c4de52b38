/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Print text as mdoc(7) source, for the manual pages. Everything goes to stdout.
 */
#ifndef CHRONOS_TOOLS_ROFF_H
#define CHRONOS_TOOLS_ROFF_H

/* Print help text: paragraphs separated by empty lines; lines after four spaces unchanged. */
void roff_text(const char *text);
/* Print the tables of docs/filesystem.md that follow the line marking them as printed. */
void roff_tables(const char *markdown);

#endif
