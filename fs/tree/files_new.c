/* SPDX-License-Identifier: Apache-2.0 */
/* `new`: a request becomes a partition. See files_new.h. */
#include "files_new.h"

#include "asked.h"
#include "caller.h"
#include "event_text.h"
#include "repeats.h"
#include "suggestions.h"
#include "waits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int files_new_show(struct tree *tree, const struct node *node, uint32_t uid, struct strbuf *out)
{
    (void)tree;
    (void)uid;
    strbuf_print(out, "Write one line to request part of %s:\n\n    AMOUNT DURATION",
                 node->dir == DIR_DEVICE ? "this device" : "any device");
    for (const struct request_word *word = request_words; word->name; word++)
        strbuf_print(out, word->value ? " [%s=%s]" : " [%s]", word->name, word->value);
    strbuf_print(out, "\n\n"
                      "AMOUNT    0.5, 50%% or 20G (B K M G T are binary units);\n"
                      "          slot: one of a device's slots\n"
                      "DURATION  seconds, or 90m, 1h30m, 2d\n");
    for (const struct request_word *word = request_words; word->name; word++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s", word->name, word->value ? "=" : "",
                 word->value ? word->value : "");
        strbuf_print(out, "%-24s %s\n", left, word->doc);
    }
    strbuf_print(
        out, "\nThe file status in the mount point shows the result.\n"
             "On a file open for reading and writing, a read after the write returns the id.\n");
    return 0;
}

static void report_granted(struct tree *tree, struct write *write)
{
    const struct partition *partition = engine_find(tree->engine, write->result);
    char size[32], when[40], devices[TREE_DEVICES_TEXT_MAX];
    if (waits_is_pending(partition)) {
        waits_reason(tree, partition, write->why.message, sizeof(write->why.message));
        return;
    }
    units_size_text(partition->shares[0].memory_bytes, size, sizeof(size));
    tree_devices_text(partition, devices);
    strbuf_time_short(partition->end_ns + tree->offset_ns, tree_wall_ns(tree), when, sizeof(when));
    snprintf(write->why.message, sizeof(write->why.message), "Granted p%llu: %s of %s%s until %s.",
             (unsigned long long)partition->id, size, partition->share_count > 1 ? "each of " : "",
             devices, when);
}

static int create(struct tree *tree, struct write *write, struct asked *asked)
{
    const struct call *call = TREE_CALL(tree, &write->caller, &write->why);
    if (asked->start_count)
        return repeats_create(tree, write, asked);
    return asked->has_terms
               ? engine_enqueue(tree->engine, call, &asked->creation, &asked->terms, &write->result)
               : engine_create(tree->engine, call, &asked->creation, &write->result);
}

static int store(struct tree *tree, struct write *write, uint32_t device)
{
    struct asked asked;
    int r = asked_read(tree, write, device, &asked);
    write->caller.pid = caller_process(write->caller.pid);
    if (!r)
        r = create(tree, write, &asked);
    if (r == REFUSED_NO_SPACE && !asked.start_count)
        suggestions_add(tree, write, &asked);
    if (r)
        return r;
    if (asked.request.hold)
        write->handle->holds = 1;
    if (!asked.start_count)
        report_granted(tree, write);
    return 0;
}

int files_new_store(struct tree *tree, struct write *write, uint32_t device)
{
    int r = store(tree, write, device);
    counters_request(&tree->counters, r);
    return r;
}

int files_new_show_suggest(struct tree *tree, const struct node *node, uint32_t uid,
                           struct strbuf *out)
{
    (void)tree;
    (void)node;
    (void)uid;
    strbuf_print(out, "Write a request as to new. On a file open for reading and writing, a read "
                      "after the write returns requests\nthat would be accepted now in its place, "
                      "one per line, and a sentence. Nothing is requested.\n");
    return 0;
}

int files_new_store_suggest(struct tree *tree, struct write *write, uint32_t device)
{
    struct asked asked;
    int r = asked_read(tree, write, device, &asked);
    if (r)
        return r;
    if (asked.start_count)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "Suggestions are about one start; leave out every=.");
    strbuf_clear(&tree->scratch);
    suggestions_print(tree, write, &asked, &tree->scratch);
    write->outcome = WRITE_SHOWS;
    return tree->scratch.failed ? -ENOMEM : 0;
}
