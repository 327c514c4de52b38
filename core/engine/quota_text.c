/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas as text; see quota_text.h. Integers only: decimals are millionths, exactly. */
#include "quota_text.h"

#include "core/base/message.h"
#include "engine.h"
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MILLION    UINT64_C(1000000)
#define NUMBER_MAX UINT64_C(999999999)
#define WEIGHT_MIN (MILLION / 100)
#define WEIGHT_MAX (MILLION * 1000)

enum kind { SHARE, HOURS, TIME, COUNT, CLASS, WEIGHT };

static const struct row {
    const char *name;
    enum kind kind;
    const char *doc;
} rows[QUOTA_KEYS] = {
#define QUOTA(id, name, kind, standard, doc) {#name, kind, doc},
#include "quota.def"
#undef QUOTA
};

/* Classes by their number, from the lowest. */
static const char *const classes[] = {"low", "normal", "high"};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))

/* A value as it is written. */
struct value {
    const struct row *row;
    const char *text;
    size_t length;
    char *message;
    size_t size;
};

#define INVALID(value, ...)                                                                        \
    message_refuse(REFUSED_INVALID, (value)->message, (value)->size, __VA_ARGS__)

static bool same(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* Parse digits with at most one point and `decimals` digits after it, in units of the last. False:
 * it is no such number, or above NUMBER_MAX. */
static bool parse_decimal(const char *text, size_t length, int decimals, uint64_t *ret_number)
{
    uint64_t whole = 0, part = 0, scale = 1;
    size_t i = 0;

    for (; i < length && text[i] >= '0' && text[i] <= '9' && whole <= NUMBER_MAX; i++)
        whole = whole * 10 + (uint64_t)(text[i] - '0');
    if (i == 0 || whole > NUMBER_MAX)
        return false;
    if (decimals > 0 && i + 1 < length && text[i] == '.')
        i++;
    for (; decimals > 0; decimals--) {
        bool digit = i < length && text[i] >= '0' && text[i] <= '9';
        part = part * 10 + (digit ? (uint64_t)(text[i++] - '0') : 0);
        scale *= 10;
    }
    *ret_number = whole * scale + part;
    return i == length;
}

static int parse_time(const struct value *value, uint64_t *ret_limit)
{
    int64_t ns;
    int r = units_parse_grace(value->text, value->length, &ns, value->message, value->size);

    if (!r)
        *ret_limit = (uint64_t)ns;
    return r;
}

static int parse_class(const struct value *value, const char *quoted, uint64_t *ret_limit)
{
    for (size_t i = 0; i < CLASSES; i++) {
        if (!same(value->text, value->length, classes[i]))
            continue;
        *ret_limit = i;
        return 0;
    }
    return INVALID(value, "\"%s\" is not a priority; write %s low, normal or high.", quoted,
                   value->row->name);
}

/* Parse a value other than max and default. */
static int parse_limit(const struct value *value, const char *quoted, uint64_t *ret_limit)
{
    enum kind kind = value->row->kind;
    uint64_t number;

    if (kind == TIME)
        return parse_time(value, ret_limit);
    if (kind == CLASS)
        return parse_class(value, quoted, ret_limit);
    if (!parse_decimal(value->text, value->length, kind == COUNT ? 0 : 6, &number))
        return INVALID(value,
                       kind == COUNT ? "\"%s\" is not a limit; write a number, like %s 10, or max."
                                     : "\"%s\" is not a limit; write a number with at most six "
                                       "decimals, like %s 1.5, or max.",
                       quoted, value->row->name);
    if (kind == WEIGHT && (number < WEIGHT_MIN || number > WEIGHT_MAX))
        return INVALID(value, "A weight of %s is out of range; write one from 0.01 to 1000.",
                       quoted);
    *ret_limit = kind == HOURS ? number * 3600 : number;
    return 0;
}

static int refuse_key(const char *text, size_t length, char *message, size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX], known[128] = "";
    size_t used = 0;

    message_quote(text, length, quoted);
    for (size_t i = 0; i < QUOTA_KEYS; i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                                 rows[i].name);
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is not a quota; write one of %s and a limit, like "
                          "\"hours_week 20\".",
                          quoted, known);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int quota_text_parse(const char *text, size_t length, struct quota_change *ret_change,
                     char *message, size_t size)
{
    struct quota_change change = {.key = QUOTA_KEYS, .set = true, .limit = QUOTA_UNLIMITED};
    size_t key_length = 0, at;
    char quoted[MESSAGE_QUOTED_MAX];

    while (key_length < length && !is_blank(text[key_length]))
        key_length++;
    for (size_t i = 0; i < QUOTA_KEYS; i++) {
        if (same(text, key_length, rows[i].name))
            change.key = (enum quota_key)i;
    }
    if (change.key == QUOTA_KEYS)
        return refuse_key(text, key_length, message, size);
    for (at = key_length; at < length && is_blank(text[at]);)
        at++;
    while (length > at && is_blank(text[length - 1]))
        length--;
    const struct value value = {&rows[change.key], text + at, length - at, message, size};
    message_quote(value.text, value.length, quoted);
    int r = 0;
    if (value.length == 0)
        return INVALID(&value, "The limit of %s is missing; write a value, max or default.",
                       value.row->name);
    if (same(value.text, value.length, "default"))
        change.set = false;
    else if (value.row->kind == WEIGHT || !same(value.text, value.length, "max"))
        r = parse_limit(&value, quoted, &change.limit);
    if (!r)
        *ret_change = change;
    return r;
}

void quota_text_apply(const struct quota_change *change, struct quota_limits *limits)
{
    uint32_t bit = 1U << change->key;

    limits->set = change->set ? limits->set | bit : limits->set & ~bit;
    limits->limit[change->key] = change->set ? change->limit : QUOTA_UNLIMITED;
}

const char *quota_text_key(enum quota_key key)
{
    return rows[key].name;
}

const char *quota_text_doc(enum quota_key key)
{
    return rows[key].doc;
}

void quota_text_limit(enum quota_key key, uint64_t limit, char text[static QUOTA_TEXT_MAX])
{
    enum kind kind = rows[key].kind;

    if (limit == QUOTA_UNLIMITED)
        snprintf(text, QUOTA_TEXT_MAX, "max");
    else if (kind == SHARE || kind == WEIGHT)
        units_fraction_text(limit, MILLION, text, QUOTA_TEXT_MAX);
    else if (kind == HOURS)
        units_fraction_text(limit, MILLION * 3600, text, QUOTA_TEXT_MAX);
    else if (kind == CLASS)
        snprintf(text, QUOTA_TEXT_MAX, "%s", classes[limit < CLASSES ? limit : CLASSES - 1]);
    else
        snprintf(text, QUOTA_TEXT_MAX, "%" PRIu64,
                 kind == TIME ? limit / (uint64_t)NS_PER_SECOND : limit);
}
