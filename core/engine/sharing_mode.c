/* SPDX-License-Identifier: Apache-2.0 */
/* Sharing modes and shares of time as text; see sharing_mode.h. */
#include "sharing_mode.h"

#include "core/base/message.h"
#include "engine.h"
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {[SHARING_NONE] = "none",
                                    [SHARING_TIMESLICE] = "timeslice",
                                    [SHARING_MPS] = "mps",
                                    [SHARING_MIG] = "mig"};

const char *sharing_mode_word(uint32_t kind)
{
    return kind < SHARING_KINDS ? words[kind] : "unknown";
}

/* A word of the line, and where to leave the reason why it is refused. */
struct mode_word {
    const char *text;
    size_t length;
    char *message;
    size_t size;
};

static int refuse_word(const struct mode_word *word, const char *what)
{
    char quoted[MESSAGE_QUOTED_MAX];

    message_quote(word->text, word->length, quoted);
    return message_refuse(REFUSED_INVALID, word->message, word->size, "\"%s\" is not %s.", quoted,
                          what);
}

/* Read decimal digits: 1 to `most`. */
static bool read_count(const char *text, size_t length, uint32_t most, uint32_t *ret_count)
{
    uint32_t count = 0;

    if (length < 1 || length > 6 || text[0] == '0')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        count = 10 * count + (uint32_t)(text[i] - '0');
    }
    *ret_count = count;
    return count <= most;
}

/* The value of a word KEY=VALUE, or NULL. */
static const char *value_of(const struct mode_word *word, const char *key, size_t *ret_length)
{
    size_t skip = strlen(key);

    if (word->length <= skip || memcmp(word->text, key, skip) != 0)
        return NULL;
    *ret_length = word->length - skip;
    return word->text + skip;
}

static int take_slots(const struct mode_word *word, struct sharing_mode *mode)
{
    if (mode->slots == 0 && read_count(word->text, word->length, SHARING_SLOTS_MAX, &mode->slots))
        return 0;
    return refuse_word(word, "a number of slots; write timeslice, or timeslice 4 for at most 4 "
                             "partitions at once (1024 at most)");
}

static int take_mps(const struct mode_word *word, struct sharing_mode *mode)
{
    struct amount amount;
    size_t length;
    const char *value = value_of(word, "percentage=", &length);

    if (value && mode->percentage == 0 && read_count(value, length, 100, &mode->percentage))
        return 0;
    if (value)
        return refuse_word(word, "a percentage of the multiprocessors; write percentage=1 to "
                                 "percentage=100, once");
    value = value_of(word, "memory=", &length);
    if (value && mode->memory_bytes == 0 &&
        !units_parse_amount(value, length, &amount, word->message, word->size) &&
        !amount.is_share && amount.bytes >= 1024 * 1024) {
        mode->memory_bytes = amount.bytes;
        return 0;
    }
    if (value)
        return refuse_word(word, "a limit for each process; write a size such as memory=4G, at "
                                 "least 1M, once");
    return refuse_word(word, "an option of mps; write mps percentage=50 memory=4G, or leave them "
                             "out");
}

static bool is_profile(const struct mode_word *word)
{
    bool good = word->length >= 2 && word->length < SHARING_PROFILE_MAX && word->text[0] >= '1' &&
                word->text[0] <= '9' && word->text[1] == 'g';

    for (size_t i = 0; i < word->length; i++)
        good = good && ((word->text[i] >= '0' && word->text[i] <= '9') ||
                        (word->text[i] >= 'a' && word->text[i] <= 'z') || word->text[i] == '.' ||
                        word->text[i] == '+');
    return good;
}

/* A profile and a count in turn; which profiles there are depends on the card. */
static int take_mig(const struct mode_word *word, struct sharing_mode *mode)
{
    struct sharing_profile *last =
        mode->profile_count ? &mode->profiles[mode->profile_count - 1] : NULL;

    if (last && last->count == 0) {
        if (read_count(word->text, word->length, SHARING_PROFILES_MAX, &last->count))
            return 0;
        return refuse_word(word, "a number of instances; write it behind each profile, as in "
                                 "mig 1g.18gb 4, at most 7");
    }
    if (!is_profile(word) || mode->profile_count == SHARING_PROFILES_MAX)
        return refuse_word(word, "a profile; write pairs of profile and number, as in "
                                 "mig 1g.18gb 4, or only mig for instances on demand");
    for (uint32_t i = 0; i < mode->profile_count; i++) {
        if (strlen(mode->profiles[i].name) == word->length &&
            memcmp(mode->profiles[i].name, word->text, word->length) == 0)
            return refuse_word(word, "to be named twice; add the numbers up");
    }
    memcpy(mode->profiles[mode->profile_count++].name, word->text, word->length);
    return 0;
}

static int take_kind(const struct mode_word *word, struct sharing_mode *mode)
{
    for (uint32_t kind = 0; kind < SHARING_KINDS; kind++) {
        if (strlen(words[kind]) == word->length &&
            memcmp(words[kind], word->text, word->length) == 0) {
            mode->kind = kind;
            return 0;
        }
    }
    return refuse_word(word, "a sharing mode; write none, timeslice [SLOTS], mps [percentage=N] "
                             "[memory=SIZE] or mig [PROFILE N]...");
}

static int take(const struct mode_word *word, struct sharing_mode *mode)
{
    switch (mode->kind) {
    case SHARING_TIMESLICE:
        return take_slots(word, mode);
    case SHARING_MPS:
        return take_mps(word, mode);
    case SHARING_MIG:
        return take_mig(word, mode);
    default:
        return refuse_word(word, "an option of none, which has none");
    }
}

int sharing_mode_parse(const char *text, struct sharing_mode *ret_mode, char *message, size_t size)
{
    struct sharing_mode mode = {.kind = SHARING_NONE};
    struct mode_word word = {.message = message, .size = size};
    bool first = true;
    int r = 0;

    for (; !r && *(text += strspn(text, " \t")); text += word.length, first = false) {
        word.text = text;
        word.length = strcspn(text, " \t");
        r = first ? take_kind(&word, &mode) : take(&word, &mode);
    }
    if (!r && first) {
        word.text = "";
        word.length = 0;
        r = take_kind(&word, &mode);
    }
    if (!r && mode.profile_count && mode.profiles[mode.profile_count - 1].count == 0)
        mode.profiles[mode.profile_count - 1].count = 1;
    if (!r)
        *ret_mode = mode;
    return r;
}

/* Put " memory=4G", exactly. */
static size_t put_size(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = "BKMGT";
    size_t unit = 0;

    for (; units[unit + 1] && bytes % 1024 == 0; unit++)
        bytes /= 1024;
    return (size_t)snprintf(text, size, " memory=%" PRIu64 "%c", bytes, units[unit]);
}

bool sharing_mode_text(const struct sharing_mode *mode, char text[static SHARING_TEXT_MAX])
{
    size_t used = (size_t)snprintf(text, SHARING_TEXT_MAX, "%s", sharing_mode_word(mode->kind));

    if (mode->slots)
        used += (size_t)snprintf(text + used, SHARING_TEXT_MAX - used, " %" PRIu32, mode->slots);
    if (mode->percentage)
        used += (size_t)snprintf(text + used, SHARING_TEXT_MAX - used, " percentage=%" PRIu32,
                                 mode->percentage);
    if (mode->memory_bytes)
        used += put_size(mode->memory_bytes, text + used, SHARING_TEXT_MAX - used);
    for (uint32_t i = 0; i < mode->profile_count && used < SHARING_TEXT_MAX; i++)
        used += (size_t)snprintf(text + used, SHARING_TEXT_MAX - used, " %s %" PRIu32,
                                 mode->profiles[i].name, mode->profiles[i].count);
    return used < SHARING_TEXT_MAX;
}

/* -- shares of time ------------------------------------------------------------------ */

int sharing_mode_parse_share(const char *text, size_t length, uint32_t *ret_ppm, char *message,
                             size_t size)
{
    struct mode_word word = {text, length, message, size};
    const char *point = memchr(text, '.', length);
    size_t whole = point ? (size_t)(point - text) : length;
    uint32_t ppm = 0;
    bool good = whole >= 1 && whole <= 3 && (!point || (length > whole + 1 && length < whole + 6));

    for (size_t i = 0; good && i < whole + 5; i++) {
        char digit = i < length ? text[i] : '0';

        if (i == whole)
            continue;
        good = digit >= '0' && digit <= '9';
        ppm = 10 * ppm + (uint32_t)(digit - '0');
    }
    if (!good || ppm < 1 || ppm > 1000000)
        return refuse_word(&word, "a share of the device's time; write per cent, such as 70 or "
                                  "12.5, at most 100");
    *ret_ppm = ppm;
    return 0;
}

void sharing_mode_share_text(uint32_t ppm, char *text, size_t size)
{
    int decimals = 4;
    uint32_t rest = ppm % 10000;

    while (decimals > 0 && rest % 10 == 0) {
        rest /= 10;
        decimals--;
    }
    if (decimals)
        snprintf(text, size, "%" PRIu32 ".%0*" PRIu32, ppm / 10000, decimals, rest);
    else
        snprintf(text, size, "%" PRIu32, ppm / 10000);
}
