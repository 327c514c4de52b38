/* SPDX-License-Identifier: Apache-2.0 */
/* chronos(3) from the header chronos.h, which documents itself. */
#ifndef CHRONOS_TOOLS_PAGES_HEADER_H
#define CHRONOS_TOOLS_PAGES_HEADER_H

/* Print what the comment at the top of the header says. */
void pages_header_about(const char *header);
/* Print types and calls with their comments, in the sections of the header. */
void pages_header_calls(const char *header);

#endif
