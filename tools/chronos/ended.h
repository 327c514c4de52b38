/* SPDX-License-Identifier: Apache-2.0 */
/* How a partition ended, by `history`. */
#ifndef CHRONOS_TOOLS_ENDED_H
#define CHRONOS_TOOLS_ENDED_H

#include "tools/libchronos/client.h"

/* Find the line of `history` about partition `id`. False: there is none. */
bool ended_find(const struct chronos_mount *mount, const char *id, struct chronos_line *ret_line);
/* Write how it ended, such as "was released by bob": the words that follow "it". */
void ended_words(const struct chronos_line *line, char *text, size_t size);
/* Return whether a partition of the caller with this label is in `history`. */
bool ended_has_label(const struct chronos_mount *mount, const char *label);

#endif
