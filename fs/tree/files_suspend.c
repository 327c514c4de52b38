/* SPDX-License-Identifier: Apache-2.0 */
/* Suspending and resuming by the file `remaining`. */
#include "files_suspend.h"

#include <stdio.h>
#include <string.h>

static void suspend_message(const struct tree *tree, const struct partition *partition,
                            struct refusal *why)
{
    const char *how =
        partition->state == PARTITION_PENDING           ? "will be resumed at"
        : partition->suspend_stage == SUSPEND_RETURNING ? "is being resumed; its lease ends at"
        : partition->suspend_stage == SUSPEND_AWAY      ? "is suspended; it is kept until"
                                                        : "is being suspended; it is kept until";
    char at[STRBUF_TIME_MAX];
    int64_t at_ns = partition->state == PARTITION_PENDING ? partition->start_ns : partition->end_ns;
    strbuf_time_short(at_ns + tree->offset_ns, tree_wall_ns(tree), at, sizeof(at));
    snprintf(why->message, sizeof(why->message), "p%llu %s %s.", (unsigned long long)partition->id,
             how, at);
}

/* The word behind a duration that makes it wait for room. */
static const char word[] = " queue";
#define WORD_LENGTH (sizeof(word) - 1)

bool files_suspend_waits(const struct write *write)
{
    return write->length > WORD_LENGTH && !strcmp(write->text + write->length - WORD_LENGTH, word);
}

int files_suspend_store_resume(struct tree *tree, struct write *write)
{
    bool waits = files_suspend_waits(write);
    int64_t duration_ns;
    int r = units_parse_duration(write->text, write->length - (waits ? WORD_LENGTH : 0),
                                 &duration_ns, write->why.message, sizeof(write->why.message));
    if (!r)
        r = engine_resume(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                          write->node->object, duration_ns, waits);
    const struct partition *partition = tree_partition(tree, write->node);
    if (!r && partition)
        suspend_message(tree, partition, &write->why);
    return r;
}

int files_suspend_store(struct tree *tree, struct write *write)
{
    int r = engine_suspend(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                           write->node->object);
    const struct partition *partition = tree_partition(tree, write->node);
    if (!r && partition)
        suspend_message(tree, partition, &write->why);
    return r;
}
