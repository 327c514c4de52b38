/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words for the end of a partition: see ladder.h. Text to numbers and back; what
 * they do to whom is not known here.
 */
#include "core/base/message.h"
#include "engine.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char *const on_expiry_words[] = {
    [ON_EXPIRY_NONE] = "none", [ON_EXPIRY_TERM] = "term", [ON_EXPIRY_KILL] = "kill"};
#define ON_EXPIRY_COUNT (sizeof(on_expiry_words) / sizeof(on_expiry_words[0]))

/* Those that a program can handle, and that nobody else uses for something. */
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

bool ending_is_sound(const struct partition *partition)
{
    if (partition->on_expiry > ON_EXPIRY_KILL || !is_span(partition->grace_ns) ||
        !is_span(partition->warn.ns))
        return false;
    if (partition->warn.ns == 0)
        return partition->warn.signal == 0 && partition->warned == 0;
    return partition->warned <= 1 &&
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
    return message_refuse(
        REFUSED_INVALID, message, size,
        "\"%s\" is not something that can happen on expiry; write none, term or kill", quoted);
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
                              "something must be able to happen on expiry; write at least one of "
                              "none, term and kill");
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
                          "\"%s\" is not a signal that can warn; write one of %s", quoted, known);
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
    if (r == 0 && colon)
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
