/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that were read in part; see texts.h. */
#include "texts.h"

#include <stddef.h>

/* The memory of longer texts is given back. */
#define REUSED_MAX 4096

static struct texts_item *find(struct texts *texts, uint32_t account, uint64_t fh)
{
    struct texts_item *set = texts->items[account % TEXTS_SETS];
    for (unsigned i = 0; i < TEXTS_WAYS; i++)
        if (set[i].fh == fh)
            return &set[i];
    return NULL;
}

static void clear(struct texts_item *item)
{
    item->fh = 0;
    if (item->text.length > REUSED_MAX || item->text.failed)
        strbuf_free(&item->text);
    else
        strbuf_clear(&item->text);
}

const struct strbuf *texts_find(struct texts *texts, uint32_t account, uint64_t fh, uint32_t uid)
{
    const struct texts_item *item = find(texts, account, fh);
    return item && item->uid == uid ? &item->text : NULL;
}

void texts_put(struct texts *texts, uint32_t account, uint64_t fh, uint32_t uid,
               const struct strbuf *text)
{
    struct texts_item *item = find(texts, account, fh);
    if (!item)
        item = find(texts, account, 0);
    if (!item) {
        uint32_t set = account % TEXTS_SETS;
        item = &texts->items[set][texts->next[set]++ % TEXTS_WAYS];
    }
    clear(item);
    if (text->length > TEXTS_LENGTH_MAX)
        return;
    item->fh = fh;
    item->uid = uid;
    strbuf_add(&item->text, text->data, text->length);
    if (item->text.failed)
        texts_drop(texts, account, fh);
}

void texts_drop(struct texts *texts, uint32_t account, uint64_t fh)
{
    struct texts_item *item = find(texts, account, fh);
    if (item)
        clear(item);
}

void texts_free(struct texts *texts)
{
    for (unsigned set = 0; set < TEXTS_SETS; set++)
        for (unsigned i = 0; i < TEXTS_WAYS; i++)
            strbuf_free(&texts->items[set][i].text);
    *texts = (struct texts){0};
}
