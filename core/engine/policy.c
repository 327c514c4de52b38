/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy table: one row a setting, with its default and the function that
 * understands it. It checks values; who may set them and where they are kept is
 * not its business.
 */
#include "policy.h"

#include "core/base/message.h"
#include "engine.h"
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct policy_row policy_rows[] = {
    {"min_duration", "1", "the shortest duration a user may ask for, in seconds"},
    {"max_duration", "max", "the longest time a user's partition may still have, in seconds"},
    {"max_fraction", "1", "the largest share of a device that a user's partition may have"},
    {"max_partitions", "1000", "the most partitions that one user may hold at a time"},
    {"retention", "7776000", "how long ended partitions stay in the history, in seconds"},
    {"admin_group", "", "members of this group are administrators; none: only root"},
    {"default_on_expiry", "term", "what happens to processes at the end when a request is silent"},
    {"allowed_on_expiry", "none term kill", "which of these an owner may choose"},
    {"default_grace", "10", "from SIGTERM to SIGKILL when a request is silent, in seconds"},
    {"max_grace", "300", "the longest grace an owner may choose, in seconds"},
    {"default_warn", "none", "the warning before the end when a request is silent"},
    {"unreachable", "refuse", "what shims do when they cannot reach the filesystem: refuse, allow"},
    {"watchdog", "off",
     "what happens to programs that use a device beside their partition: off, report, warn, end"},
    {"watchdog_interval", "10", "time between two looks of the watchdog, in seconds"},
    {"watchdog_grace", "60", "time between two steps of the watchdog, in seconds"},
    {"device_access", "open",
     "open: leave device nodes as they are; holders: only users with a partition can open them"},
    {NULL, NULL, NULL},
};

/* What a row's function gets: the text, and where answers go. */
struct setting {
    const char *value;
    char *canonical;
    size_t canonical_size;
    char *message;
    size_t size;
};

static void duration_canonical(int64_t ns, const struct setting *setting)
{
    if (ns == INT64_MAX)
        snprintf(setting->canonical, setting->canonical_size, "max");
    else
        snprintf(setting->canonical, setting->canonical_size, "%" PRId64, ns / NS_PER_SECOND);
}

static int parse_limit(const struct setting *setting, int64_t *ret_ns)
{
    int r = 0;

    if (strcmp(setting->value, "max") == 0)
        *ret_ns = INT64_MAX;
    else
        r = units_parse_duration(setting->value, strlen(setting->value), ret_ns, setting->message,
                                 setting->size);
    if (r == 0)
        duration_canonical(*ret_ns, setting);
    return r;
}

static int set_min_duration(struct policy *policy, const struct setting *setting)
{
    int64_t ns;
    char limit[32];
    int r = parse_limit(setting, &ns);

    if (r)
        return r;
    if (ns == INT64_MAX)
        return message_refuse(REFUSED_INVALID, setting->message, setting->size,
                              "min_duration cannot be max; write seconds, 1 for no limit");
    if (ns > policy->max_duration_ns) {
        units_duration_text(policy->max_duration_ns, limit, sizeof limit);
        return message_refuse(REFUSED_INVALID, setting->message, setting->size,
                              "min_duration cannot be above max_duration, which is %s", limit);
    }
    policy->min_duration_ns = ns;
    return 0;
}

static int set_max_duration(struct policy *policy, const struct setting *setting)
{
    int64_t ns;
    char limit[32];
    int r = parse_limit(setting, &ns);

    if (r)
        return r;
    if (ns < policy->min_duration_ns) {
        units_duration_text(policy->min_duration_ns, limit, sizeof limit);
        return message_refuse(REFUSED_INVALID, setting->message, setting->size,
                              "max_duration cannot be below min_duration, which is %s", limit);
    }
    policy->max_duration_ns = ns;
    return 0;
}

static int set_max_fraction(struct policy *policy, const struct setting *setting)
{
    struct amount amount = {.is_share = true, .digits = 1, .scale = 1};
    const uint64_t million = 1000000;
    uint64_t ppm;
    int r = 0;

    if (strcmp(setting->value, "max") != 0)
        r = units_parse_amount(setting->value, strlen(setting->value), &amount, setting->message,
                               setting->size);
    if (r)
        return r;
    if (!amount.is_share)
        return message_refuse(REFUSED_INVALID, setting->message, setting->size,
                              "max_fraction is a share of a device; write it like 0.5 or 50%%");
    /* Rounded up: whoever writes 1/7 in seventeen digits lets 1/7 through. */
    ppm = units_amount_bytes(&amount, million);
    ppm += units_amount_bytes(&amount, million * million * million) % (million * million) != 0;
    policy->max_fraction_ppm = (uint32_t)ppm;
    units_fraction_text(ppm, million, setting->canonical, setting->canonical_size);
    return 0;
}

static int set_max_partitions(struct policy *policy, const struct setting *setting)
{
    size_t digits = strspn(setting->value, "0123456789");
    uint64_t limit = 0;

    if (strcmp(setting->value, "max") == 0) {
        policy->max_partitions = UINT64_MAX;
        snprintf(setting->canonical, setting->canonical_size, "max");
        return 0;
    }
    for (size_t i = 0; i < digits && digits < 10; i++)
        limit = limit * 10 + (uint64_t)(setting->value[i] - '0');
    if (limit == 0 || setting->value[digits])
        return message_refuse(REFUSED_INVALID, setting->message, setting->size,
                              "max_partitions is a number from 1 to 999999999, or max");
    policy->max_partitions = limit;
    snprintf(setting->canonical, setting->canonical_size, "%" PRIu64, limit);
    return 0;
}

static int set_retention(struct policy *policy, const struct setting *setting)
{
    return parse_limit(setting, &policy->retention_ns);
}

static int set_admin_group(struct policy *policy, const struct setting *setting)
{
    const char *value = strcmp(setting->value, "none") == 0 ? "" : setting->value;
    size_t length = strlen(value);
    bool good = length < sizeof policy->admin_group && value[0] != '-';
    char quoted[MESSAGE_QUOTED_MAX];

    for (size_t i = 0; i < length; i++)
        good = good && value[i] > 0x20 && value[i] < 0x7f && value[i] != ':' && value[i] != ',';
    if (!good) {
        message_quote(value, length, quoted);
        return message_refuse(REFUSED_INVALID, setting->message, setting->size,
                              "\"%s\" is not the name of a group; write one, or none", quoted);
    }
    memcpy(policy->admin_group, value, length + 1);
    snprintf(setting->canonical, setting->canonical_size, "%s", value);
    return 0;
}

static int set_default_on_expiry(struct policy *policy, const struct setting *setting)
{
    int r = ending_parse_on_expiry(setting->value, strlen(setting->value),
                                   &policy->default_on_expiry, setting->message, setting->size);

    if (r == 0)
        snprintf(setting->canonical, setting->canonical_size, "%s", setting->value);
    return r;
}

static int set_allowed_on_expiry(struct policy *policy, const struct setting *setting)
{
    int r = ending_parse_on_expiry_set(setting->value, strlen(setting->value),
                                       &policy->allowed_on_expiry, setting->message, setting->size);

    if (r == 0)
        ending_on_expiry_set_text(policy->allowed_on_expiry, setting->canonical,
                                  setting->canonical_size);
    return r;
}

/* Seconds that may be 0, and not max. */
static int parse_grace(const struct setting *setting, int64_t *ret_ns)
{
    int r = units_parse_grace(setting->value, strlen(setting->value), ret_ns, setting->message,
                              setting->size);

    if (r == 0)
        duration_canonical(*ret_ns, setting);
    return r;
}

static int set_default_grace(struct policy *policy, const struct setting *setting)
{
    return parse_grace(setting, &policy->default_grace_ns);
}

static int set_max_grace(struct policy *policy, const struct setting *setting)
{
    if (strcmp(setting->value, "max") == 0)
        return parse_limit(setting, &policy->max_grace_ns);
    return parse_grace(setting, &policy->max_grace_ns);
}

static int set_default_warn(struct policy *policy, const struct setting *setting)
{
    char text[WARN_TEXT_MAX];
    int r = ending_parse_warn(setting->value, strlen(setting->value), &policy->default_warn_ns,
                              &policy->default_warn_signal, setting->message, setting->size);

    if (r)
        return r;
    ending_warn_text(policy->default_warn_ns, policy->default_warn_signal, text);
    snprintf(setting->canonical, setting->canonical_size, "%s", text);
    return 0;
}

/* One of `words`; its place in the list, whose last is NULL, goes to *ret. */
static int parse_choice(const struct setting *setting, const char *name, const char *const words[],
                        unsigned *ret)
{
    char quoted[MESSAGE_QUOTED_MAX], known[64] = "";
    size_t used = 0;

    for (unsigned i = 0; words[i]; i++) {
        if (strcmp(words[i], setting->value) == 0) {
            snprintf(setting->canonical, setting->canonical_size, "%s", words[i]);
            *ret = i;
            return 0;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s",
                                     used ? (words[i + 1] ? ", " : " or ") : "", words[i]);
    }
    message_quote(setting->value, strlen(setting->value), quoted);
    return message_refuse(REFUSED_INVALID, setting->message, setting->size,
                          "%s cannot be \"%s\"; write %s", name, quoted, known);
}

static int set_unreachable(struct policy *policy, const struct setting *setting)
{
    static const char *const words[] = {"refuse", "allow", NULL};
    unsigned choice;
    int r = parse_choice(setting, "unreachable", words, &choice);

    if (r == 0)
        policy->unreachable = (enum policy_unreachable)choice;
    return r;
}

static int set_watchdog(struct policy *policy, const struct setting *setting)
{
    static const char *const words[] = {"off", "report", "warn", "end", NULL};
    unsigned choice;
    int r = parse_choice(setting, "watchdog", words, &choice);

    if (r == 0)
        policy->watchdog = (enum policy_watchdog)choice;
    return r;
}

static int set_watchdog_interval(struct policy *policy, const struct setting *setting)
{
    int r = units_parse_duration(setting->value, strlen(setting->value),
                                 &policy->watchdog_interval_ns, setting->message, setting->size);

    if (r == 0)
        duration_canonical(policy->watchdog_interval_ns, setting);
    return r;
}

static int set_watchdog_grace(struct policy *policy, const struct setting *setting)
{
    return parse_grace(setting, &policy->watchdog_grace_ns);
}

static int set_device_access(struct policy *policy, const struct setting *setting)
{
    static const char *const words[] = {"open", "holders", NULL};
    unsigned choice;
    int r = parse_choice(setting, "device_access", words, &choice);

    if (r == 0)
        policy->device_access = choice == 1;
    return r;
}

/* In the order of policy_rows. */
static int (*const setters[])(struct policy *policy, const struct setting *setting) = {
    set_min_duration,  set_max_duration,      set_max_fraction,      set_max_partitions,
    set_retention,     set_admin_group,       set_default_on_expiry, set_allowed_on_expiry,
    set_default_grace, set_max_grace,         set_default_warn,      set_unreachable,
    set_watchdog,      set_watchdog_interval, set_watchdog_grace,    set_device_access,
};
_Static_assert(sizeof setters / sizeof setters[0] + 1 == sizeof policy_rows / sizeof policy_rows[0],
               "one setter a row");

int policy_set(struct policy *policy, const char *name, const char *value, char *canonical,
               size_t canonical_size, char *message, size_t size)
{
    const struct setting setting = {value, canonical, canonical_size, message, size};
    char quoted[MESSAGE_QUOTED_MAX];

    for (size_t row = 0; policy_rows[row].name; row++) {
        if (strcmp(policy_rows[row].name, name) == 0)
            return setters[row](policy, &setting);
    }
    message_quote(name, strlen(name), quoted);
    return message_refuse(REFUSED_INVALID, message, size, "there is no setting \"%s\"", quoted);
}

void policy_init(struct policy *policy)
{
    char canonical[ENGINE_VALUE_MAX], message[ENGINE_MESSAGE_MAX];

    *policy = (struct policy){.min_duration_ns = NS_PER_SECOND, .max_duration_ns = INT64_MAX};
    for (const struct policy_row *row = policy_rows; row->name; row++)
        policy_set(policy, row->name, row->default_value, canonical, sizeof canonical, message,
                   sizeof message);
}
