/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would be accepted in place of a request: less, a shorter time, another device, or waiting.
 * Each line has been checked as if it were written at this moment. It must not know files.
 */
#ifndef CHRONOS_TREE_SUGGESTIONS_H
#define CHRONOS_TREE_SUGGESTIONS_H

#include "asked.h"

/* Print a line for each request that would be accepted now in place of the one in `write`, and a
 * sentence as the last line; the sentence goes to write->why, too. */
void suggestions_print(struct tree *tree, struct write *write, const struct asked *asked,
                       struct strbuf *out);
/* Add to the refusal in write->why what would be accepted now, if it has room. */
void suggestions_add(struct tree *tree, struct write *write, const struct asked *asked);

#endif
