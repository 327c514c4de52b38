/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text as mdoc(7) source, for the manual pages. Everything goes to stdout.
 */
#ifndef CHRONOS_TOOLS_ROFF_H
#define CHRONOS_TOOLS_ROFF_H

/* Help text: paragraphs with empty lines between, lines after four spaces as they are. */
void roff_text(const char *text);
/* The tables of docs/filesystem.md, after the line that says that they are printed. */
void roff_tables(const char *markdown);

#endif
