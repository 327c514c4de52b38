/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts that open files show, for readers who take them in pieces: a shell's `read` takes one
 * byte at a time, or more and then goes back. Each account can have TEXTS_WAYS of them, so that a
 * user with many open files uses little memory and does not push out the texts of others; with
 * more, the oldest is forgotten and the rest is read from the text of that moment, as after a
 * worker's death.
 */
#ifndef CHRONOS_TREE_TEXTS_H
#define CHRONOS_TREE_TEXTS_H

#include "core/base/strbuf.h"

#include <stdint.h>

#define TEXTS_SETS 32u /* accounts share them by number */
#define TEXTS_WAYS 8u
/* Longer texts are not kept. */
#define TEXTS_LENGTH_MAX 131072u

struct texts_item {
    uint64_t fh;  /* 0: free */
    uint32_t uid; /* the reader for whom it was printed */
    struct strbuf text;
};

/* All zero is empty. */
struct texts {
    struct texts_item items[TEXTS_SETS][TEXTS_WAYS];
    uint32_t next[TEXTS_SETS]; /* the item to replace */
};

/* Return the text kept for this open file and reader, or NULL. Valid until the next put or drop. */
const struct strbuf *texts_find(struct texts *texts, uint32_t account, uint64_t fh, uint32_t uid);
/* Keep a copy of a text, instead of any for this open file. */
void texts_put(struct texts *texts, uint32_t account, uint64_t fh, uint32_t uid,
               const struct strbuf *text);
/* Forget the text of an open file, if there is one. */
void texts_drop(struct texts *texts, uint32_t account, uint64_t fh);
/* Forget all. */
void texts_free(struct texts *texts);

#endif
