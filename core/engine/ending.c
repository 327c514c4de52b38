/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a partition and the warning before it: parsing and formatting, what an owner may
 * choose, and when the warning is due. It must not know how processes are ended.
 */
#include "internal.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* -- words ------------------------------------------------------------------ */

static const char *const on_expiry_words[] = {[ON_EXPIRY_NONE] = "none",
                                              [ON_EXPIRY_TERM] = "term",
                                              [ON_EXPIRY_KILL] = "kill",
                                              [ON_EXPIRY_SUSPEND] = "suspend"};
#define ON_EXPIRY_COUNT (sizeof(on_expiry_words) / sizeof(on_expiry_words[0]))

/* Signals that a program can handle and that the host uses for nothing else. */
static const struct {
    uint32_t number;
    const char *name;
} warn_signals[] = {{SIGHUP, "HUP"},     {SIGINT, "INT"},   {SIGQUIT, "QUIT"}, {SIGUSR1, "USR1"},
                    {SIGUSR2, "USR2"},   {SIGALRM, "ALRM"}, {SIGTERM, "TERM"}, {SIGCONT, "CONT"},
                    {SIGWINCH, "WINCH"}, {SIGURG, "URG"}};
#define WARN_SIGNALS (sizeof(warn_signals) / sizeof(warn_signals[0]))

static bool is_span(int64_t ns)
{
    return ns >= 0 && ns <= DURATION_MAX_NS;
}

/* Only one that is suspended is on its way, and a pending one that is to be resumed. */
static bool stage_is_sound(const struct partition *partition)
{
    if (partition->state == PARTITION_PENDING)
        return partition->suspend_stage == SUSPEND_NONE || partition->suspend_stage == SUSPEND_AWAY;
    return partition->state == PARTITION_SUSPENDED
               ? partition->suspend_stage != SUSPEND_NONE &&
                     partition->suspend_stage <= SUSPEND_RETURNING
               : partition->suspend_stage == SUSPEND_NONE;
}

bool ending_is_sound(const struct partition *partition)
{
    bool missed = partition->arrival == ARRIVAL_MISSED;

    if (!stage_is_sound(partition) || partition->on_expiry > ON_EXPIRY_SUSPEND ||
        !is_span(partition->grace_ns) || !is_span(partition->warn.ns) ||
        partition->arrival > ARRIVAL_MISSED ||
        (partition->arrival && partition->state == PARTITION_PENDING) ||
        (missed && partition->state != PARTITION_EXPIRING))
        return false;
    if (partition->warn.ns == 0)
        return partition->warn.signal == 0 && (missed || (partition->state != PARTITION_EXPIRING &&
                                                          partition->state <= PARTITION_SUSPENDED));
    return partition->state <= PARTITION_SUSPENDED &&
           (partition->warn.signal == 0 || ending_signal_text(partition->warn.signal));
}

static bool same(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

const char *ending_on_expiry_text(uint32_t on_expiry)
{
    return on_expiry < ON_EXPIRY_COUNT ? on_expiry_words[on_expiry] : "unknown";
}

int ending_parse_on_expiry(const char *text, size_t length, uint32_t *ret_on_expiry, char *message,
                           size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX];

    for (uint32_t i = 0; i < ON_EXPIRY_COUNT; i++) {
        if (same(text, length, on_expiry_words[i])) {
            *ret_on_expiry = i;
            return 0;
        }
    }
    message_quote(text, length, quoted);
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is not a value of on_expiry; write none, term, kill or suspend.",
                          quoted);
}

int ending_parse_on_expiry_set(const char *text, size_t length, uint32_t *ret_set, char *message,
                               size_t size)
{
    uint32_t set = 0, one = 0;

    for (size_t at = 0, end; at < length; at = end + 1) {
        for (end = at; end < length && text[end] != ' ' && text[end] != '\t';)
            end++;
        if (end == at)
            continue;
        int r = ending_parse_on_expiry(text + at, end - at, &one, message, size);

        if (r)
            return r;
        set |= 1U << one;
    }
    if (set == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "Owners must have a choice; write at least one of none, term, "
                              "kill and suspend.");
    *ret_set = set;
    return 0;
}

void ending_on_expiry_set_text(uint32_t set, char *text, size_t size)
{
    size_t used = 0;

    for (uint32_t i = 0; i < ON_EXPIRY_COUNT && used < size; i++) {
        if (set & 1U << i)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "",
                                     on_expiry_words[i]);
    }
}

const char *ending_signal_text(uint32_t warn_signal)
{
    for (size_t i = 0; i < WARN_SIGNALS; i++) {
        if (warn_signals[i].number == warn_signal)
            return warn_signals[i].name;
    }
    return NULL;
}

static int parse_signal(const char *text, size_t length, uint32_t *ret_signal, char *message,
                        size_t size)
{
    size_t skip = length > 3 && memcmp(text, "SIG", 3) == 0 ? 3 : 0, used = 0;
    char quoted[MESSAGE_QUOTED_MAX], known[80] = "";

    for (size_t i = 0; i < WARN_SIGNALS; i++) {
        if (same(text + skip, length - skip, warn_signals[i].name)) {
            *ret_signal = warn_signals[i].number;
            return 0;
        }
        if (used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
                                     warn_signals[i].name);
    }
    message_quote(text, length, quoted);
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" cannot be a warning signal; write one of %s.", quoted, known);
}

int ending_parse_warn(const char *text, size_t length, struct warning *ret_warning, char *message,
                      size_t size)
{
    const char *colon = length > 0 ? memchr(text, ':', length) : NULL;
    size_t time_length = colon ? (size_t)(colon - text) : length;
    struct warning warning = {0};
    int r = 0;

    if (!same(text, length, "none"))
        r = units_parse_duration(text, time_length, &warning.ns, message, size);
    if (!r && colon)
        r = parse_signal(colon + 1, length - time_length - 1, &warning.signal, message, size);
    if (r)
        return r;
    *ret_warning = warning;
    return 0;
}

void ending_warn_text(const struct warning *warning, char text[static WARN_TEXT_MAX])
{
    const char *name = ending_signal_text(warning->signal);

    if (warning->ns <= 0)
        snprintf(text, WARN_TEXT_MAX, "none");
    else
        snprintf(text, WARN_TEXT_MAX, "%" PRId64 "%s%s", warning->ns / NS_PER_SECOND,
                 name ? ":" : "", name ? name : "");
}

/* -- policy ----------------------------------------------------------------- */

static int check_on_expiry(const struct policy *policy, uint32_t on_expiry, struct refusal *why)
{
    char allowed[ENGINE_VALUE_MAX];

    if (policy->allowed_on_expiry & 1U << on_expiry)
        return 0;
    ending_on_expiry_set_text(policy->allowed_on_expiry, allowed, sizeof(allowed));
    return refuse(REFUSED_INVALID, why, "The policy does not allow on_expiry=%s; write one of: %s.",
                  ending_on_expiry_text(on_expiry), allowed);
}

static int check_grace(const struct policy *policy, int64_t grace_ns, struct refusal *why)
{
    char asked[48], limit[48];

    if (grace_ns <= policy->max_grace_ns)
        return 0;
    units_duration_text(grace_ns, asked, sizeof(asked));
    units_duration_text(policy->max_grace_ns, limit, sizeof(limit));
    return refuse(REFUSED_INVALID, why, "A grace of %s is too long; at most %s is allowed.", asked,
                  limit);
}

int ending_check_suspend(const struct engine *engine, const struct call *call,
                         const struct partition *partition)
{
    if (partition->on_expiry != ON_EXPIRY_SUSPEND)
        return 0;
    if (engine->policy.suspend != POLICY_SUSPEND_ON)
        return refuse(REFUSED_INVALID, call->why,
                      "Nothing is suspended here: config/suspend is off; write none, term or kill "
                      "for on_expiry.");
    if (partition->share_count > 1)
        return refuse(REFUSED_INVALID, call->why,
                      "A partition with %" PRIu32 " devices cannot be suspended, only one with a "
                      "single device; write none, term or kill for on_expiry.",
                      partition->share_count);
    return 0;
}

int ending_apply(const struct engine *engine, const struct call *call,
                 const struct ending_change *change, struct partition *partition)
{
    const struct policy *policy = &engine->policy;
    struct partition after = *partition;
    int r = 0;

    if (change->set_on_expiry)
        after.on_expiry = change->on_expiry;
    if (change->set_grace)
        after.grace_ns = change->grace_ns;
    if (change->set_warn) {
        after.warn.ns = change->warn.ns;
        after.warn.signal = change->warn.ns > 0 ? change->warn.signal : 0;
        if (after.warn.ns == 0 && after.state == PARTITION_EXPIRING &&
            after.arrival != ARRIVAL_MISSED)
            after.state = PARTITION_ACTIVE;
    }
    if (!ending_is_sound(&after))
        return refuse(
            REFUSED_INVALID, call->why,
            "Write none, term, kill or suspend for on_expiry, and at most 100 years for grace and "
            "warn.");
    if (after.on_expiry != partition->on_expiry)
        r = ending_check_suspend(engine, call, &after);
    if (!r && !call->caller->admin && after.on_expiry != partition->on_expiry)
        r = check_on_expiry(policy, after.on_expiry, call->why);
    if (!r && !call->caller->admin && after.grace_ns != partition->grace_ns)
        r = check_grace(policy, after.grace_ns, call->why);
    if (!r)
        *partition = after;
    return r;
}

bool ending_settle(struct partition *partition, int64_t now_ns)
{
    bool near = partition->warn.ns > 0 && ending_warning_ns(partition) <= now_ns;

    if (!near && partition->state == PARTITION_EXPIRING && partition->arrival != ARRIVAL_MISSED)
        partition->state = PARTITION_ACTIVE;
    return near && partition->state == PARTITION_ACTIVE;
}
