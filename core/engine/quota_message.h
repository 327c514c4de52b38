/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals by a quota, as sentences: the figures, what would fit, and when all of it would. */
#ifndef CHRONOS_ENGINE_QUOTA_MESSAGE_H
#define CHRONOS_ENGINE_QUOTA_MESSAGE_H

#include "engine.h"
#include "quota.h"

/* How to name things: the user of the first holder ("Your", "User bob's"), the group of the
 * second, and moments, as in engine_new. */
struct quota_message_names {
    const char *user;
    const char *group;
    engine_time_text_fn *time_text;
    void *context;
};

/* Write the message for an answer of quota_check other than QUOTA_ALLOWED. Returns
 * REFUSED_QUOTA. */
int quota_message_refuse(const struct quota_scope *scope, const struct quota_ask *ask,
                         const struct quota_answer *answer, const struct quota_message_names *names,
                         struct refusal *why);

#endif
