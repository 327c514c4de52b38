/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy table: the rows of policy.def and a parser for each kind. It checks values; it must
 * not know who may set them or where they are kept.
 */
#include "policy.h"

#include "core/base/message.h"
#include "engine.h"
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Arguments of a parser: the text, and buffers for its results. */
struct setting_value {
    const char *text;
    size_t length;
    char *canonical;
    size_t canonical_size;
    char *message;
    size_t size;
};

#define INVALID(value, ...)                                                                        \
    message_refuse(REFUSED_INVALID, (value)->message, (value)->size, __VA_ARGS__)

/* Take the next blank-separated word off *words. False if there is none. */
static bool next_word(const char **words, const char **ret_word, size_t *ret_length)
{
    *ret_word = *words + strspn(*words, " ");
    *ret_length = strcspn(*ret_word, " ");
    *words = *ret_word + *ret_length;
    return *ret_length > 0;
}

/* Whether the row accepts the word beside its usual values. */
static bool has_word(const struct policy_row *row, const char *word)
{
    const char *words = row->words, *known;
    size_t length;

    while (next_word(&words, &known, &length)) {
        if (length == strlen(word) && memcmp(known, word, length) == 0)
            return true;
    }
    return false;
}

static bool is_word(const struct policy_row *row, const struct setting_value *value,
                    const char *word)
{
    return strcmp(value->text, word) == 0 && has_word(row, word);
}

static int parse_duration(const struct policy_row *row, const struct setting_value *value,
                          void *field)
{
    int64_t *ns = field;
    const char *words = row->words, *word;
    size_t length;
    bool zero = next_word(&words, &word, &length) && word[0] == '0';
    int r = 0;

    if (is_word(row, value, "max") || is_word(row, value, "off")) {
        *ns = value->text[0] == 'o' ? 0 : INT64_MAX;
        snprintf(value->canonical, value->canonical_size, "%s", value->text);
        return 0;
    }
    if (zero)
        r = units_parse_grace(value->text, value->length, ns, value->message, value->size);
    else
        r = units_parse_duration(value->text, value->length, ns, value->message, value->size);
    if (!r)
        snprintf(value->canonical, value->canonical_size, "%" PRId64, *ns / NS_PER_SECOND);
    return r;
}

/* In millionths. */
static int parse_fraction(const struct policy_row *row, const struct setting_value *value,
                          void *field)
{
    struct amount amount = {.is_share = true, .digits = 1, .scale = 1};
    const uint64_t million = 1000000;
    char quoted[MESSAGE_QUOTED_MAX];
    int r = 0;

    if (!is_word(row, value, "max"))
        r = units_parse_amount(value->text, value->length, &amount, value->message, value->size);
    if (r || !amount.is_share) {
        message_quote(value->text, value->length, quoted);
        return INVALID(value, "\"%s\" is not a share; %s is one, above 0, such as 0.5 or 50%%.",
                       quoted, row->name);
    }
    /* Round up, so that 1/7 written with seventeen digits still admits 1/7. */
    uint64_t ppm = units_amount_bytes(&amount, million);
    ppm += units_amount_bytes(&amount, million * million * million) % (million * million) != 0;
    *(uint32_t *)field = (uint32_t)ppm;
    units_fraction_text(ppm, million, value->canonical, value->canonical_size);
    return 0;
}

static int parse_count(const struct policy_row *row, const struct setting_value *value, void *field)
{
    size_t digits = strspn(value->text, "0123456789");
    uint64_t limit = 0, least = has_word(row, "0") ? 0 : 1;

    if (is_word(row, value, "max")) {
        *(uint64_t *)field = UINT64_MAX;
        snprintf(value->canonical, value->canonical_size, "max");
        return 0;
    }
    for (size_t i = 0; i < digits && digits < 10; i++)
        limit = limit * 10 + (uint64_t)(value->text[i] - '0');
    if (digits == 0 || limit < least || value->text[digits])
        return INVALID(value, "The setting %s is a number from %" PRIu64 " to 999999999%s.",
                       row->name, least, has_word(row, "max") ? ", or max" : "");
    *(uint64_t *)field = limit;
    snprintf(value->canonical, value->canonical_size, "%" PRIu64, limit);
    return 0;
}

/* A multiple, in millionths. */
static int parse_factor(const struct policy_row *row, const struct setting_value *value,
                        void *field)
{
    size_t digits = strspn(value->text, "0123456789"), rest = 0;
    const char *end = value->text + digits;
    uint64_t ppm = 0, unit = 1000000;

    for (size_t i = 0; i < digits && i < 4; i++)
        ppm = ppm * 10 + (uint64_t)(value->text[i] - '0');
    ppm *= unit;
    if (*end == '.') {
        rest = strspn(end + 1, "0123456789");
        for (size_t i = 1; i <= rest; i++)
            ppm += (uint64_t)(end[i] - '0') * (unit /= 10);
        end += rest > 0 ? rest + 1 : 0;
    }
    if (digits == 0 || digits > 4 || rest > 6 || *end || ppm > 100000000)
        return INVALID(value, "The setting %s is a number from 0 to 100, such as 0.5.", row->name);
    *(uint32_t *)field = (uint32_t)ppm;
    units_fraction_text(ppm, 1000000, value->canonical, value->canonical_size);
    return 0;
}

static int parse_group(const struct policy_row *row, const struct setting_value *value, void *field)
{
    const char *group = is_word(row, value, "none") ? "" : value->text;
    size_t length = strlen(group);
    bool good = length < sizeof(policy_group) && group[0] != '-';
    char quoted[MESSAGE_QUOTED_MAX];

    for (size_t i = 0; i < length; i++)
        good = good && group[i] > 0x20 && group[i] < 0x7f && group[i] != ':' && group[i] != ',';
    if (!good) {
        message_quote(group, length, quoted);
        return INVALID(value, "\"%s\" is not a group name; write a group name, or none.", quoted);
    }
    memcpy(field, group, length + 1);
    snprintf(value->canonical, value->canonical_size, "%s", length ? group : "none");
    return 0;
}

/* One of the row's words, stored as its position in the list. */
static int parse_choice(const struct policy_row *row, const struct setting_value *value,
                        void *field)
{
    const char *words = row->words, *word;
    char quoted[MESSAGE_QUOTED_MAX], known[64] = "";
    size_t length, used = 0;

    for (uint32_t i = 0; next_word(&words, &word, &length); i++) {
        if (length == value->length && memcmp(word, value->text, length) == 0) {
            snprintf(value->canonical, value->canonical_size, "%s", value->text);
            *(uint32_t *)field = i;
            return 0;
        }
        if (used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%.*s",
                                     used ? (*words ? ", " : " or ") : "", (int)length, word);
    }
    message_quote(value->text, value->length, quoted);
    return INVALID(value, "The setting %s cannot be \"%s\"; write %s.", row->name, quoted, known);
}

static int parse_preempt(const struct policy_row *row, const struct setting_value *value,
                         void *field)
{
    if (strcmp(value->text, "suspend") == 0)
        return INVALID(value, "Nothing can be suspended yet; write off or end.");
    return parse_choice(row, value, field);
}

static int parse_on_expiry_set(const struct policy_row *row, const struct setting_value *value,
                               void *field)
{
    int r =
        ending_parse_on_expiry_set(value->text, value->length, field, value->message, value->size);

    (void)row;
    if (!r)
        ending_on_expiry_set_text(*(uint32_t *)field, value->canonical, value->canonical_size);
    return r;
}

static int parse_warning(const struct policy_row *row, const struct setting_value *value,
                         void *field)
{
    struct warning *warning = field;
    char text[WARN_TEXT_MAX];
    int r = ending_parse_warn(value->text, value->length, warning, value->message, value->size);

    (void)row;
    if (r)
        return r;
    ending_warn_text(warning, text);
    snprintf(value->canonical, value->canonical_size, "%s", text);
    return 0;
}

const struct policy_row policy_rows[] = {
#define SETTING(name, type, field, standard, kind, words, text)                                    \
    {#name, standard, words, text, offsetof(struct policy, field), parse_##kind},
#include "policy.def"
#undef SETTING
    {NULL, NULL, NULL, NULL, 0, NULL},
};

const struct policy_row *policy_find(const char *name)
{
    for (const struct policy_row *row = policy_rows; row->name; row++) {
        if (strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

/* Check constraints between settings, after `row` was set. */
static int check(const struct policy *policy, const struct policy_row *row,
                 const struct setting_value *value)
{
    bool low = row->offset == offsetof(struct policy, min_duration_ns);
    char limit[32];

    if (policy->reorder > POLICY_REORDER_MAX)
        return INVALID(value, "The setting %s is a number from 1 to %d.", row->name,
                       POLICY_REORDER_MAX);
    if (policy->min_duration_ns <= policy->max_duration_ns)
        return 0;
    units_duration_text(low ? policy->max_duration_ns : policy->min_duration_ns, limit,
                        sizeof(limit));
    return INVALID(value, "The setting %s cannot be %s, which is %s.", row->name,
                   low ? "above max_duration" : "below min_duration", limit);
}

int policy_set(struct policy *policy, const char *name, const char *text, char *canonical,
               size_t canonical_size, char *message, size_t size)
{
    const struct setting_value value = {text,           strlen(text), canonical,
                                        canonical_size, message,      size};
    const struct policy_row *row = policy_find(name);
    struct policy after = *policy;
    char quoted[MESSAGE_QUOTED_MAX];

    if (!row) {
        message_quote(name, strlen(name), quoted);
        return INVALID(&value, "There is no setting \"%s\".", quoted);
    }
    int r = row->parse(row, &value, (char *)&after + row->offset);
    if (!r)
        r = check(&after, row, &value);
    if (!r)
        *policy = after;
    return r;
}

void policy_init(struct policy *policy)
{
    char canonical[ENGINE_VALUE_MAX], message[ENGINE_MESSAGE_MAX];

    *policy = (struct policy){.max_duration_ns = INT64_MAX};
    for (const struct policy_row *row = policy_rows; row->name; row++)
        policy_set(policy, row->name, row->default_value, canonical, sizeof(canonical), message,
                   sizeof(message));
}
