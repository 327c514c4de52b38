/* SPDX-License-Identifier: Apache-2.0 */
/* The files about the start of a partition; see files_waits.h. */
#include "files_waits.h"

#include "core/engine/waiting.h"
#include "waits.h"

#include <errno.h>
#include <string.h>

int files_waits_show_promised(struct tree *tree, const struct node *node, uint32_t uid,
                              struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    const struct waiting *waiting = engine_waiting(tree->engine, partition->id);
    char time[STRBUF_TIME_MAX];
    strbuf_time(tree_shown_ns(tree, waiting ? waiting->promised_ns : partition->start_ns), time);
    strbuf_print(out, "%s\n", time);
    return 0;
}

int files_waits_show_series(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    if (partition->series)
        strbuf_print(out, "p%llu", (unsigned long long)partition->series);
    strbuf_print(out, "\n");
    return 0;
}

int files_waits_show_priority(struct tree *tree, const struct node *node, uint32_t uid,
                              struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    const struct waiting *waiting = engine_waiting(tree->engine, partition->id);
    strbuf_print(out, "%s\n", waiting_priority_text(waiting ? waiting->priority : PRIORITY_NORMAL));
    return 0;
}

int files_waits_show_reason(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out)
{
    PARTITION_OR_GONE(tree, node);
    char text[ENGINE_MESSAGE_MAX];
    waits_reason(tree, partition, text, sizeof(text));
    strbuf_print(out, "%s\n", text);
    return 0;
}

int files_waits_store_priority(struct tree *tree, struct write *write)
{
    uint32_t priority = 0;
    while (priority < PRIORITIES && strcmp(write->text, waiting_priority_text(priority)) != 0)
        priority++;
    if (priority == PRIORITIES)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "\"%.32s\" is not a priority; write low, normal or high.",
                              write->text);
    return engine_set_priority(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                               write->node->object, priority);
}
