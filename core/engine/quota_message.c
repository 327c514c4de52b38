/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals by a quota; see quota_message.h. */
#include "quota_message.h"

#include "core/base/message.h"
#include "quota_text.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

#define MOMENT_MAX 40
#define NAME_MAX   56
#define WHEN_MAX   128
/* GPU-hours that are used are shown in hundredths, rounded up. */
#define HUNDREDTH UINT64_C(36000000)

/* What messages are made of. */
struct parts {
    const struct quota_message_names *names;
    char holder[NAME_MAX];                            /* "Your quota", "Group lab's quota" */
    char used[QUOTA_TEXT_MAX], limit[QUOTA_TEXT_MAX]; /* as files show them */
    const char *plural;                               /* "s", unless the limit is 1 */
};

static void moment_text(const struct parts *parts, int64_t at_ns, char text[static MOMENT_MAX])
{
    parts->names->time_text(parts->names->context, at_ns, text, MOMENT_MAX);
}

/* Say how much would fit at the moment asked for, and when all of it would. */
static void when_text(const struct quota_scope *scope, const struct quota_ask *ask,
                      const struct quota_answer *answer, const struct parts *parts,
                      char text[static WHEN_MAX])
{
    int64_t longest_ns = quota_longest(scope, ask->ppm, ask->start_ns, ask->duration_ns);
    char duration[MOMENT_MAX], moment[MOMENT_MAX] = "";
    bool never = answer->at_ns == TALLY_NEVER, some = longest_ns >= NS_PER_SECOND;

    units_duration_text(longest_ns, duration, sizeof(duration));
    if (ask->changes) {
        snprintf(text, WHEN_MAX, "%s%s", some ? duration : "Nothing more",
                 some ? " of this fits" : " fits");
        return;
    }
    if (!never)
        moment_text(parts, answer->at_ns, moment);
    snprintf(text, WHEN_MAX, "%s%s%s%s", some ? duration : "",
             some    ? " of this fits, all of it "
             : never ? "This "
                     : "This fits ",
             never ? "never fits" : "from ", moment);
}

static int refuse_amount(const struct quota_scope *scope, const struct quota_ask *ask,
                         const struct quota_answer *answer, const struct parts *parts,
                         struct refusal *why)
{
    char start[MOMENT_MAX], when[WHEN_MAX];

    when_text(scope, ask, answer, parts, when);
    if (answer->key == QUOTA_FRACTION)
        return message_refuse(REFUSED_QUOTA, why->message, sizeof(why->message),
                              "%s allows %s device%s at a time, of which %s are promised. %s.",
                              parts->holder, parts->limit, parts->plural, parts->used, when);
    moment_text(parts, answer->window.start_ns, start);
    return message_refuse(REFUSED_QUOTA, why->message, sizeof(why->message),
                          "%s allows %s GPU-hour%s a %s; in the one from %s, %s are used or "
                          "promised. %s.",
                          parts->holder, parts->limit, parts->plural,
                          answer->key == QUOTA_HOURS_DAY ? "day" : "week", start, parts->used,
                          when);
}

/* Refuse what is the same at any moment. */
static int refuse_request(const struct quota_ask *ask, const struct quota_answer *answer,
                          const struct parts *parts, struct refusal *why)
{
    char limit[MOMENT_MAX], asked[MOMENT_MAX];

    units_duration_text((int64_t)answer->limit, limit, sizeof(limit));
    switch (answer->key) {
    case QUOTA_DURATION:
        units_duration_text(ask->duration_ns, asked, sizeof(asked));
        return message_refuse(REFUSED_QUOTA, why->message, sizeof(why->message),
                              "%s allows %s for a partition, and this is %s; ask for less time.",
                              parts->holder, limit, asked);
    case QUOTA_AHEAD:
        moment_text(parts, answer->at_ns, asked);
        return message_refuse(REFUSED_QUOTA, why->message, sizeof(why->message),
                              "%s allows a start at most %s ahead; ask for this one from %s.",
                              parts->holder, limit, asked);
    case QUOTA_PENDING:
        return message_refuse(REFUSED_QUOTA, why->message, sizeof(why->message),
                              "%s allows %s request%s to wait, and %s wait; wait until one starts, "
                              "or release one.",
                              parts->holder, parts->limit, parts->plural, parts->used);
    default:
        return message_refuse(REFUSED_QUOTA, why->message, sizeof(why->message),
                              "%s allows priority=%s at most, and this is %s.", parts->holder,
                              parts->limit, parts->used);
    }
}

int quota_message_refuse(const struct quota_scope *scope, const struct quota_ask *ask,
                         const struct quota_answer *answer, const struct quota_message_names *names,
                         struct refusal *why)
{
    struct parts parts = {.names = names, .plural = "s"};
    bool hours = answer->key == QUOTA_HOURS_DAY || answer->key == QUOTA_HOURS_WEEK;
    uint64_t used = answer->used;

    if (hours)
        used = (used / HUNDREDTH + (used % HUNDREDTH > 0)) * HUNDREDTH;
    quota_text_limit(answer->key, used, parts.used);
    quota_text_limit(answer->key, answer->limit, parts.limit);
    if (strcmp(parts.limit, "1") == 0)
        parts.plural = "";
    snprintf(parts.holder, sizeof(parts.holder), "%.40s quota", names->user);
    if (answer->holder > 0)
        snprintf(parts.holder, sizeof(parts.holder), "Group %.24s's quota", names->group);
    if (hours || answer->key == QUOTA_FRACTION)
        return refuse_amount(scope, ask, answer, &parts, why);
    return refuse_request(ask, answer, &parts, why);
}
