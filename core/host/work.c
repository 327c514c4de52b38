/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other threads ask of the host thread (work items), and what it found out (results);
 * see host.h. Nothing here waits.
 */
#include "internal.h"

#include "core/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With so many work items waiting, refuse further looks: readers are shown what was seen
 * last. While the host thread is held up, readers ask again and again. */
#define LOOK_MAX 4096

/* -- results ------------------------------------------------------------------------ */

struct host_result *host_result_new(enum host_result_kind kind, size_t message_bytes)
{
    struct host_result *result = calloc(1, sizeof(*result) + message_bytes);
    if (result)
        result->kind = kind;
    else
        log_say("not enough memory to tell what became of a partition's programs");
    return result;
}

struct host_result *host_result_free(struct host_result *result)
{
    if (!result)
        return NULL;
    if (result->kind == RESULT_LOOKED)
        free(result->looked.text);
    else if (result->kind == RESULT_STATE)
        free(result->state);
    free(result);
    return NULL;
}

void host_report(struct host *host, struct host_result *result)
{
    if (result)
        mailbox_put(&host->thread.out, &result->mail);
}

void host_note(void *context, const struct partition *partition, const char *word,
               const char *details)
{
    size_t bytes = strlen(details) + 1;
    struct host_result *result = host_result_new(RESULT_NOTE, bytes);
    if (!result)
        return;
    result->note.partition = *partition;
    snprintf(result->note.word, sizeof(result->note.word), "%s", word);
    memcpy(result->message, details, bytes);
    host_report(context, result);
}

struct mail *host_take_results(struct host *host)
{
    return mailbox_take(&host->thread.out);
}

int host_fd(const struct host *host)
{
    return host->thread.out.fd;
}

/* -- work items --------------------------------------------------------------------- */

static struct work_item *item_new(enum work_kind kind)
{
    struct work_item *item = calloc(1, sizeof(*item));
    if (item)
        item->kind = kind;
    return item;
}

int host_join(struct host *host, const struct host_join *join)
{
    struct work_item *item = item_new(WORK_JOIN);
    if (!item)
        return -ENOMEM;
    item->join.asked = *join;
    item->join.answer = host_result_new(RESULT_JOINED, ENGINE_MESSAGE_MAX);
    if (!item->join.answer) {
        free(item);
        return -ENOMEM;
    }
    mailbox_put(&host->thread.in, &item->mail);
    return 0;
}

int host_look(struct host *host, uint64_t id, int64_t now_ns)
{
    if (mailbox_count(&host->thread.in) >= LOOK_MAX)
        return -EAGAIN;
    struct work_item *item = item_new(WORK_LOOK);
    if (!item)
        return -ENOMEM;
    item->look.id = id;
    item->look.asked_ns = now_ns;
    mailbox_put(&host->thread.in, &item->mail);
    return 0;
}

int host_policy(struct host *host, const struct host_policy *policy)
{
    struct work_item *item = item_new(WORK_POLICY);
    if (!item)
        return -ENOMEM;
    item->policy = *policy;
    mailbox_put(&host->thread.in, &item->mail);
    return 0;
}

/* Whether events of this kind belong to this pass. A closed file belongs to both: changes
 * made before it may become durable, and be passed on, after it. */
static bool is_told(enum event_kind kind, bool certain)
{
    if (kind == EVENT_SETTING || kind == EVENT_NOTE)
        return false;
    return kind == EVENT_CLOSED || (kind == EVENT_EXPIRED) == certain;
}

void host_events(struct host *host, const struct engine_event *events, bool certain)
{
    struct mail *first = NULL, **last = &first;
    for (; events; events = events->next) {
        if (!is_told(events->kind, certain))
            continue;
        struct work_item *item = item_new(WORK_EVENT);
        if (!item) {
            log_say("not enough memory: programs of p%" PRIu64 " are left as they are",
                    events->after.id);
            continue;
        }
        item->event.kind = events->kind;
        item->event.partition = events->after;
        *last = &item->mail;
        last = &item->mail.next;
    }
    /* The host thread need not know before it has reason to look. */
    mailbox_put_list(&host->thread.in, first, true);
}
