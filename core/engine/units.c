/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts, sizes and durations; see units.h. No floating point and no locale: only the digits 0 to
 * 9, one point, and the units listed here.
 */
#include "units.h"

#include "core/base/message.h"
#include "engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 uint128;

#define DECIMALS_MAX   18
#define DURATION_MAX_S (DURATION_MAX_NS / NS_PER_SECOND)
#define MEANT_MAX      32
#define AMOUNT_WHAT_WORKS                                                                          \
    "write a share like 0.5 or 50%%, or a size like 20G or 1.5GiB (B K M G T)."

/* A number as written: whole + digits / scale. */
struct decimal {
    uint64_t whole; /* saturates at UINT64_MAX */
    uint64_t digits, scale;
    bool more; /* non-zero digits were cut off */
    size_t length;
};

static bool same(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Read digits with at most one point; keep `decimals` digits after the point. False if the text
 * does not start with such a number. */
static bool scan_decimal(const char *text, size_t length, int decimals, struct decimal *ret)
{
    struct decimal number = {.scale = 1};
    size_t i = 0, point;

    for (; i < length && is_digit(text[i]); i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');

        if (number.whole > (UINT64_MAX - digit) / 10)
            number.whole = UINT64_MAX;
        else
            number.whole = number.whole * 10 + digit;
    }
    point = i;
    if (i < length && text[i] == '.') {
        for (i++; i < length && is_digit(text[i]); i++) {
            if (decimals-- > 0) {
                number.digits = number.digits * 10 + (uint64_t)(text[i] - '0');
                number.scale *= 10;
            } else if (text[i] != '0') {
                number.more = true;
            }
        }
        if (i == point + 1)
            return false;
    }
    number.length = i;
    *ret = number;
    return i > 0;
}

/* The shift of the binary unit at the end of a size, or -1. */
static int unit_shift(const char *text, size_t length)
{
    static const char units[] = "BKMGT";
    const char *unit = length > 0 && text[0] ? strchr(units, text[0]) : NULL;

    if (!unit)
        return -1;
    if (length == 1 || (length == 3 && unit != units && memcmp(text + 1, "iB", 2) == 0))
        return (int)(unit - units) * 10;
    return -1;
}

static int parse_size(const char *quoted, const struct decimal *number, int shift,
                      struct amount *ret_amount, char *message, size_t size)
{
    uint64_t part = (uint64_t)(((uint128)number->digits << shift) / number->scale);

    if (number->whole > (uint64_t)INT64_MAX >> shift || (number->whole << shift) + part > INT64_MAX)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is larger than any device; " AMOUNT_WHAT_WORKS, quoted);
    if ((number->whole << shift) + part == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is less than one byte; " AMOUNT_WHAT_WORKS, quoted);
    *ret_amount = (struct amount){.scale = 1, .bytes = (number->whole << shift) + part};
    return 0;
}

static int refuse_too_much(const char *quoted, const struct decimal *number, bool percent,
                           char *message, size_t size)
{
    if (percent)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is more than the whole device; request at most 100%%.",
                              quoted);
    if (number->whole > 100 || (number->whole == 100 && (number->digits || number->more)))
        return message_refuse(
            REFUSED_INVALID, message, size,
            "\"%s\" is more than the whole device; did you mean a size, %sM or %sG?", quoted,
            quoted, quoted);
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is more than the whole device; did you mean %s%% or %sG?", quoted,
                          quoted, quoted);
}

static int parse_share(const char *quoted, const struct decimal *number, bool percent,
                       struct amount *ret_amount, char *message, size_t size)
{
    uint64_t all = percent ? 100 : 1;
    struct amount amount = {.is_share = true, .scale = number->scale * all};

    if (number->whole > all || (number->whole == all && (number->digits || number->more)))
        return refuse_too_much(quoted, number, percent, message, size);
    amount.digits = number->whole * number->scale + number->digits;
    if (amount.digits == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is zero; an amount must be above 0: " AMOUNT_WHAT_WORKS,
                              quoted);
    while (amount.scale > 1 && amount.digits % 10 == 0) {
        amount.digits /= 10;
        amount.scale /= 10;
    }
    *ret_amount = amount;
    return 0;
}

/* Guess the amount that was meant by one written with a decimal comma, small letters or GB for G.
 * False: none. */
static bool guess_amount(const char *text, size_t length, char meant[static MEANT_MAX])
{
    struct decimal number;

    if (length < 2 || length >= MEANT_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        meant[i] = text[i] == ',' ? '.' : upper(text[i]);
    size_t unit = length;
    while (unit > 0 && !is_digit(meant[unit - 1]))
        unit--;
    if (length - unit > 1 && unit_shift(meant + unit, 1) > 0 &&
        (same(meant + unit + 1, length - unit - 1, "B") ||
         same(meant + unit + 1, length - unit - 1, "I") ||
         same(meant + unit + 1, length - unit - 1, "IB")))
        length = unit + 1;
    meant[length] = 0;
    if (!scan_decimal(meant, length, DECIMALS_MAX, &number) || number.length != unit)
        return false;
    if (unit < length)
        return unit_shift(meant + unit, length - unit) >= 0 && !memchr(text, ',', unit);
    return number.whole == 0 && number.digits > 0;
}

static int refuse_amount(const char *quoted, const char *text, size_t length, char *message,
                         size_t size)
{
    char meant[MEANT_MAX];

    if (guess_amount(text, length, meant))
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is not an amount; did you mean %s?", quoted, meant);
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is not an amount; " AMOUNT_WHAT_WORKS, quoted);
}

int units_parse_amount(const char *text, size_t length, struct amount *ret_amount, char *message,
                       size_t size)
{
    struct decimal number;
    char quoted[MESSAGE_QUOTED_MAX];
    bool percent = length > 0 && text[length - 1] == '%';
    /* Two digits fewer, because a percentage's scale is a hundred times as large. */
    int decimals = percent ? DECIMALS_MAX - 2 : DECIMALS_MAX, shift;

    message_quote(text, length, quoted);
    if (length == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The amount is missing; " AMOUNT_WHAT_WORKS);
    if (!scan_decimal(text, length, decimals, &number))
        return refuse_amount(quoted, text, length, message, size);
    if (number.length == length - percent)
        return parse_share(quoted, &number, percent, ret_amount, message, size);
    shift = unit_shift(text + number.length, length - number.length);
    if (shift < 0)
        return refuse_amount(quoted, text, length, message, size);
    return parse_size(quoted, &number, shift, ret_amount, message, size);
}

uint64_t units_amount_bytes(const struct amount *amount, uint64_t total)
{
    if (!amount->is_share)
        return amount->bytes;
    return (uint64_t)((uint128)amount->digits * total / amount->scale);
}

/* Seconds per unit of a duration; 0 for an unknown unit. */
static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

/* Sum up "1h30m" or "3600". False if malformed. Saturates. */
static bool scan_duration(const char *text, size_t length, int64_t *ret_seconds)
{
    int64_t total = 0, last = INT64_MAX;
    size_t i = 0;

    while (i < length) {
        size_t start = i;
        int64_t count = 0, unit;

        for (; i < length && is_digit(text[i]); i++) {
            if (count <= DURATION_MAX_S)
                count = count * 10 + (text[i] - '0');
        }
        if (i == start)
            return false;
        if (i == length && start > 0) /* "1h30": the last number has no unit */
            return false;
        unit = i < length ? unit_seconds(text[i++]) : 1;
        if (unit == 0 || unit >= last)
            return false;
        last = unit;
        if (count > DURATION_MAX_S / unit || total > DURATION_MAX_S)
            total = DURATION_MAX_S + 1;
        else
            total += count * unit;
    }
    *ret_seconds = total;
    return length > 0;
}

/* Guess the duration that was meant by one number and a longer unit, or a number with a point. */
static bool guess_duration(const char *text, size_t length, char *meant, size_t size)
{
    static const char *const words[] = {"D",       "DAY",   "DAYS", "H",    "HR",     "HRS",
                                        "HOUR",    "HOURS", "M",    "MIN",  "MINS",   "MINUTE",
                                        "MINUTES", "S",     "SEC",  "SECS", "SECOND", "SECONDS"};
    struct decimal number;
    char word[MEANT_MAX];

    if (!scan_decimal(text, length, 6, &number) || number.whole > DURATION_MAX_S ||
        length - number.length >= sizeof(word))
        return false;
    for (size_t i = number.length; i < length; i++)
        word[i - number.length] = upper(text[i]);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!same(word, length - number.length, words[i]))
            continue;
        int64_t unit = unit_seconds((char)(word[0] - 'A' + 'a'));
        int64_t seconds =
            (int64_t)number.whole * unit + (int64_t)number.digits * unit / (int64_t)number.scale;
        if (seconds < 1 || seconds > DURATION_MAX_S)
            return false;
        units_duration_text(seconds * NS_PER_SECOND, meant, size);
        return true;
    }
    return false;
}

int units_parse_duration(const char *text, size_t length, int64_t *ret_ns, char *message,
                         size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX], meant[MEANT_MAX];
    int64_t seconds;

    message_quote(text, length, quoted);
    if (!scan_duration(text, length, &seconds) &&
        guess_duration(text, length, meant, sizeof(meant)))
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is not a duration; did you mean %s?", quoted, meant);
    if (!scan_duration(text, length, &seconds))
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is not a duration; write whole seconds like 3600, or 90m, "
                              "1h30m, 2d.",
                              quoted);
    if (seconds < 1)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is too short; a duration is at least 1 second.", quoted);
    if (seconds > DURATION_MAX_S)
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is too long; a duration is at most 100 years (36500d).",
                              quoted);
    *ret_ns = seconds * NS_PER_SECOND;
    return 0;
}

int units_parse_grace(const char *text, size_t length, int64_t *ret_ns, char *message, size_t size)
{
    int64_t seconds;

    if (!scan_duration(text, length, &seconds) || seconds != 0)
        return units_parse_duration(text, length, ret_ns, message, size);
    *ret_ns = 0;
    return 0;
}

void units_fraction_text(uint64_t bytes, uint64_t total, char *text, size_t size)
{
    uint128 millionths = total ? ((uint128)bytes * 1000000 + total / 2) / total : 0;
    char decimals[8];
    int last = 6;

    if (millionths == 0 && bytes > 0 && total > 0)
        millionths = 1;
    snprintf(decimals, sizeof(decimals), "%06u", (unsigned)(millionths % 1000000));
    while (last > 0 && decimals[last - 1] == '0')
        last--;
    decimals[last] = 0;
    snprintf(text, size, "%" PRIu64 "%s%s", (uint64_t)(millionths / 1000000), last ? "." : "",
             decimals);
}

uint64_t units_fraction_digits(uint64_t bytes, uint64_t total, uint64_t scale)
{
    return total ? (uint64_t)(((uint128)bytes * scale + total - 1) / total) : 0;
}

void units_percent_text(uint64_t bytes, uint64_t total, char *text, size_t size)
{
    uint128 hundredths = total ? (uint128)bytes * 10000 / total : 0;

    snprintf(text, size, "%" PRIu64 ".%02u", (uint64_t)(hundredths / 100),
             (unsigned)(hundredths % 100));
}

void units_size_text(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    uint64_t hundredths;

    while (unit < 4 && bytes >> (10 * (unit + 1)) > 0)
        unit++;
    hundredths =
        (uint64_t)(((uint128)bytes * 100 + ((uint128)1 << (10 * unit)) / 2) >> (10 * unit));
    if (hundredths % 100 == 0)
        snprintf(text, size, "%" PRIu64 " %s", hundredths / 100, units[unit]);
    else if (hundredths % 10 == 0)
        snprintf(text, size, "%" PRIu64 ".%u %s", hundredths / 100,
                 (unsigned)(hundredths % 100 / 10), units[unit]);
    else
        snprintf(text, size, "%" PRIu64 ".%02u %s", hundredths / 100, (unsigned)(hundredths % 100),
                 units[unit]);
}

void units_duration_text(int64_t ns, char *text, size_t size)
{
    static const char units[] = "dhms";
    int64_t seconds = ns > 0 ? ns / NS_PER_SECOND : 0;
    size_t used = 0;

    if (size > 0)
        text[0] = 0;
    for (const char *unit = units; *unit && used < size; unit++) {
        int64_t count = seconds / unit_seconds(*unit);

        seconds %= unit_seconds(*unit);
        if (count > 0 || (*unit == 's' && used == 0))
            used += (size_t)snprintf(text + used, size - used, "%" PRId64 "%c", count, *unit);
    }
}

int64_t units_seconds_up(int64_t ns)
{
    return ns <= 0 ? 0 : (ns - 1) / NS_PER_SECOND + 1;
}
