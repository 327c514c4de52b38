/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of requests: AMOUNT DURATION [key=value | word]... Words come from the rows of
 * request.def. It must not know devices, users or what is free.
 */
#include "request.h"

#include "core/base/message.h"
#include "engine.h"

#include <stdio.h>
#include <string.h>

static bool same(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Take the next field off *text; empty at the end. */
static struct request_text next_field(struct request_text *text)
{
    while (text->length > 0 && is_blank(*text->text)) {
        text->text++;
        text->length--;
    }
    struct request_text field = (struct request_text){text->text, 0};
    while (text->length > 0 && !is_blank(*text->text)) {
        text->text++;
        text->length--;
        field.length++;
    }
    return field;
}

static int check_bytes(const char *text, size_t length, char *message, size_t size)
{
    if (length > REQUEST_TEXT_MAX)
        return message_refuse(REFUSED_INVALID, message, size,
                              "A request of %zu bytes is too long; write at most %d.", length,
                              REQUEST_TEXT_MAX);
    for (size_t i = 0; i < length; i++) {
        unsigned byte = (unsigned char)text[i];
        if (byte != '\t' && (byte < 0x20 || byte > 0x7e))
            return message_refuse(REFUSED_INVALID, message, size,
                                  "Byte %zu of the request is 0x%02x; a request is one line of "
                                  "printable ASCII like \"0.5 3600\"%s.",
                                  i + 1, byte,
                                  byte > 0x7f ? "; spell a name as in user=m%C3%BCller" : "");
    }
    return 0;
}

static int take_request_user(struct request_text value, request_user *user, char *message,
                             size_t size)
{
    if (value.length >= sizeof(*user))
        return message_refuse(REFUSED_INVALID, message, size,
                              "A name of %zu bytes is too long; write at most %d.", value.length,
                              REQUEST_USER_MAX);
    memcpy(*user, value.text, value.length);
    (*user)[value.length] = 0;
    return 0;
}

static int take_request_label(struct request_text value, request_label *label, char *message,
                              size_t size)
{
    int r = request_label_check(value.text, value.length, message, size);
    if (r)
        return r;
    memcpy(*label, value.text, value.length);
    (*label)[value.length] = 0;
    return 0;
}

static int take_request_ns(struct request_text value, request_ns *ns, char *message, size_t size)
{
    return units_parse_duration(value.text, value.length, ns, message, size);
}

/* What it says is up to those who know the calendar. */
static int take_request_when(struct request_text value, request_when *when, char *message,
                             size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX];

    if (value.length >= sizeof(*when)) {
        message_quote(value.text, value.length, quoted);
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is too long; write at most %d characters.", quoted,
                              REQUEST_WHEN_MAX);
    }
    memcpy(*when, value.text, value.length);
    (*when)[value.length] = 0;
    return 0;
}

static int take_request_priority(struct request_text value, request_priority *priority,
                                 char *message, size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX];

    for (uint32_t i = 0; i < PRIORITIES; i++) {
        if (same(value.text, value.length, waiting_priority_text(i))) {
            *priority = i + 1;
            return 0;
        }
    }
    message_quote(value.text, value.length, quoted);
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is not a priority; write low, normal or high.", quoted);
}

static int take_request_share(struct request_text value, request_share *share, char *message,
                              size_t size)
{
    return sharing_mode_parse_share(value.text, value.length, share, message, size);
}

static int refuse_device(struct request_text word, char *message, size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX];

    message_quote(word.text, word.length, quoted);
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is not a device; write gpu0, or several with commas between, "
                          "like gpu0,gpu2.",
                          quoted);
}

/* Read decimal digits, at most six. */
static bool read_number(struct request_text word, uint32_t *ret_number)
{
    uint32_t number = 0;

    if (word.length < 1 || word.length > 6 || (word.length > 1 && word.text[0] == '0'))
        return false;
    for (size_t i = 0; i < word.length; i++) {
        if (word.text[i] < '0' || word.text[i] > '9')
            return false;
        number = 10 * number + (uint32_t)(word.text[i] - '0');
    }
    *ret_number = number;
    return true;
}

/* "gpu0,gpu2" or "0,2". */
static int take_request_devices(struct request_text value, request_devices *devices, char *message,
                                size_t size)
{
    for (bool more = true; more;) {
        const char *comma = memchr(value.text, ',', value.length);
        struct request_text word = {value.text,
                                    comma ? (size_t)(comma - value.text) : value.length};
        size_t prefix = word.length > 3 && memcmp(word.text, "gpu", 3) == 0 ? 3 : 0;
        struct request_text digits = {word.text + prefix, word.length - prefix};
        uint32_t device;

        if (!read_number(digits, &device))
            return refuse_device(word, message, size);
        for (uint32_t i = 0; i < devices->count; i++) {
            if (devices->device[i] == device)
                return message_refuse(REFUSED_INVALID, message, size,
                                      "Device gpu%u is named twice; name each device once.",
                                      (unsigned)device);
        }
        if (devices->count == REQUEST_DEVICES_MAX)
            return message_refuse(REFUSED_INVALID, message, size,
                                  "More than %d devices are named; name fewer.",
                                  REQUEST_DEVICES_MAX);
        devices->device[devices->count++] = device;
        more = comma;
        value.text += word.length + more;
        value.length -= word.length + more;
    }
    return 0;
}

/* "2" is how many, "0,1" and "gpu0" are which. */
static int take_request_gpus(struct request_text value, request_gpus *gpus, char *message,
                             size_t size)
{
    int r;

    if (!read_number(value, &gpus->count)) {
        r = take_request_devices(value, &gpus->named, message, size);
        gpus->count = gpus->named.count;
        return r;
    }
    if (gpus->count > 0)
        return 0;
    return message_refuse(
        REFUSED_INVALID, message, size,
        "\"gpus=0\" asks for no device; write how many, like gpus=2, or which, like "
        "gpus=gpu0.");
}

static int take_on_expiry(struct request_text value, struct request *request, char *message,
                          size_t size)
{
    request->ending.set_on_expiry = true;
    return ending_parse_on_expiry(value.text, value.length, &request->ending.on_expiry, message,
                                  size);
}

static int take_grace(struct request_text value, struct request *request, char *message,
                      size_t size)
{
    request->ending.set_grace = true;
    return units_parse_grace(value.text, value.length, &request->ending.grace_ns, message, size);
}

static int take_warn(struct request_text value, struct request *request, char *message, size_t size)
{
    request->ending.set_warn = true;
    return ending_parse_warn(value.text, value.length, &request->ending.warn, message, size);
}

#define TAKE(name)                                                                                 \
    static int take_##name(struct request_text text, struct request *request, char *message,       \
                           size_t size)
#define KEY(name, option, value, kind, doc)                                                        \
    TAKE(name)                                                                                     \
    {                                                                                              \
        return take_##kind(text, &request->name, message, size);                                   \
    }
#define PLAN(name, option, value, doc)
#define PLAIN(name, value, kind, doc) KEY(name, , value, kind, doc)
#define BARE(name, doc)                                                                            \
    TAKE(name)                                                                                     \
    {                                                                                              \
        (void)text, (void)message, (void)size;                                                     \
        return request->name = true, 0;                                                            \
    }
#include "request.def"

const struct request_word request_words[] = {
#define KEY(name, option, value, kind, doc) {#name, value, doc, take_##name},
#define PLAIN(name, value, kind, doc)       {#name, value, doc, take_##name},
#define BARE(name, doc)                     {#name, NULL, doc, take_##name},
#include "request.def"
    {NULL, NULL, NULL, NULL},
};

/* Room for the list of all words. */
enum {
    KNOWN_MAX = 1
#define KEY(name, option, value, kind, doc) +sizeof(", " #name "=")
#define PLAIN(name, value, kind, doc)       +sizeof(", " #name "=")
#define BARE(name, doc)                     +sizeof(", " #name)
#include "request.def"
};

static int refuse_word(struct request_text field, char *message, size_t size)
{
    char quoted[MESSAGE_QUOTED_MAX], known[KNOWN_MAX] = "";
    size_t used = 0;

    message_quote(field.text, field.length, quoted);
    if (field.text[0] == '.' || (field.text[0] >= '0' && field.text[0] <= '9'))
        return message_refuse(REFUSED_INVALID, message, size,
                              "\"%s\" is an extra number; a request has one amount and one "
                              "duration, like \"0.5 3600\".",
                              quoted);
    for (const struct request_word *word = request_words; word->name; word++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s%s", used ? ", " : "",
                                 word->name, word->value ? "=" : "");
    return message_refuse(REFUSED_INVALID, message, size,
                          "\"%s\" is not a known word; write any of: %s.", quoted, known);
}

static int take_word(struct request_text field, unsigned *seen, struct request *request,
                     char *message, size_t size)
{
    const char *equals = memchr(field.text, '=', field.length);
    size_t key_length = equals ? (size_t)(equals - field.text) : field.length;
    struct request_text value = {equals ? equals + 1 : NULL,
                                 equals ? field.length - key_length - 1 : 0};
    const struct request_word *word = request_words;

    while (word->name && !same(field.text, key_length, word->name))
        word++;
    if (!word->name)
        return refuse_word(field, message, size);
    if (word->value && value.length == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The word %s needs a value; write %s=%s.", word->name, word->name,
                              word->value);
    if (!word->value && equals)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The word %s takes no value; write just %s.", word->name, word->name);
    if (*seen & 1U << (word - request_words))
        return message_refuse(REFUSED_INVALID, message, size,
                              "The word %s appears twice; write it once.", word->name);
    *seen |= 1U << (word - request_words);
    return word->take(value, request, message, size);
}

/* Refuse words that contradict each other. */
static int check_together(const struct request *request, char *message, size_t size)
{
    const char *waits = request->queue ? "queue" : "wait=";

    if (*request->start && (request->queue || request->wait))
        return message_refuse(REFUSED_INVALID, message, size,
                              "The words start= and %s exclude each other: a reservation starts at "
                              "its time or not at all; leave one of them out.",
                              waits);
    if (*request->every && !*request->start)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The word every= repeats a start; add the first one, such as "
                              "start=2026-12-01T09:00.");
    if (!*request->every && (*request->until || *request->times || request->skip))
        return message_refuse(REFUSED_INVALID, message, size,
                              "The word %s is about what repeats; add every=, such as every=week.",
                              *request->until   ? "until="
                              : *request->times ? "times="
                                                : "skip");
    if (*request->every && request->unique)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The words every= and unique exclude each other: all of a series "
                              "have one name.");
    if (request->pack && request->spread)
        return message_refuse(REFUSED_INVALID, message, size,
                              "The words pack and spread exclude each other; write one of them.");
    return 0;
}

int request_parse(const char *text, size_t length, struct request *ret_request, char *message,
                  size_t size)
{
    struct request request = {0};
    struct request_text rest = {text, length}, amount, duration, field;
    unsigned seen = 0;
    int r = check_bytes(text, length, message, size);

    if (r)
        return r;
    amount = next_field(&rest);
    duration = next_field(&rest);
    if (amount.length == 0 || duration.length == 0)
        return message_refuse(REFUSED_INVALID, message, size,
                              "%s missing; write how much and for how long, like \"0.5 3600\" or "
                              "\"20G 1h30m\".",
                              amount.length ? "The duration is" : "Amount and duration are");
    request.slot = same(amount.text, amount.length, "slot");
    if (!request.slot)
        r = units_parse_amount(amount.text, amount.length, &request.amount, message, size);
    if (!r)
        r = units_parse_duration(duration.text, duration.length, &request.duration_ns, message,
                                 size);
    while (!r && (field = next_field(&rest)).length > 0)
        r = take_word(field, &seen, &request, message, size);
    if (!r)
        r = check_together(&request, message, size);
    if (!r)
        *ret_request = request;
    return r;
}
