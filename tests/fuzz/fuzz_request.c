/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes at all, given to the parsers of requests, amounts, durations, labels, policy
 * values and quotas. Accepted text must be within its bounds and mean the same when it is written
 * out again; a refusal must come with a sentence.
 */
#include "core/engine/engine.h"
#include "core/engine/policy.h"
#include "core/engine/quota_text.h"
#include "core/engine/request.h"
#include "tests/fuzz/require.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static char message[ENGINE_MESSAGE_MAX];

/* The form of every refusal: one printable line, complete and terminated. */
static void check_refusal(int r)
{
    size_t length = strnlen(message, sizeof(message));

    REQUIRE(r == REFUSED_INVALID);
    REQUIRE(length > 10 && length < sizeof(message) - 1);
    REQUIRE(!(message[0] >= 'a' && message[0] <= 'z') && strchr(".?", message[length - 1]));
    for (size_t i = 0; i < length; i++)
        REQUIRE(message[i] >= 0x20 && message[i] < 0x7f);
}

static void check_amount(const struct amount *amount)
{
    static const uint64_t totals[] = {0, 1, 1000003, UINT64_C(80) << 30, INT64_MAX};

    if (!amount->is_share) {
        REQUIRE(amount->bytes > 0 && amount->bytes <= INT64_MAX);
        return;
    }
    REQUIRE(amount->digits > 0 && amount->digits <= amount->scale);
    REQUIRE(amount->scale <= UINT64_C(1000000000000000000));
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
        REQUIRE(units_amount_bytes(amount, totals[i]) <= totals[i]);
}

static void write_amount(const struct amount *amount, char *text, size_t size)
{
    int decimals = 0;

    for (uint64_t scale = amount->scale; scale > 1; scale /= 10)
        decimals++;
    if (!amount->is_share)
        snprintf(text, size, "%" PRIu64 "B", amount->bytes);
    else if (decimals == 0)
        snprintf(text, size, "%" PRIu64, amount->digits);
    else
        snprintf(text, size, "0.%0*" PRIu64, decimals, amount->digits);
}

static void same_amount(const struct amount *a, const struct amount *b)
{
    REQUIRE(a->is_share == b->is_share && a->digits == b->digits && a->scale == b->scale &&
            a->bytes == b->bytes);
}

static void fuzz_amount(const char *text, size_t length)
{
    struct amount amount, again;
    char written[64];
    int r = units_parse_amount(text, length, &amount, message, sizeof(message));

    if (r) {
        check_refusal(r);
        return;
    }
    check_amount(&amount);
    write_amount(&amount, written, sizeof(written));
    REQUIRE(units_parse_amount(written, strlen(written), &again, message, sizeof(message)) == 0);
    same_amount(&amount, &again);
}

static void fuzz_duration(const char *text, size_t length)
{
    int64_t ns, again;
    char written[64];
    int r = units_parse_duration(text, length, &ns, message, sizeof(message));

    if (r) {
        check_refusal(r);
        return;
    }
    REQUIRE(ns >= NS_PER_SECOND && ns <= DURATION_MAX_NS && ns % NS_PER_SECOND == 0);
    units_duration_text(ns, written, sizeof(written));
    REQUIRE(units_parse_duration(written, strlen(written), &again, message, sizeof(message)) == 0);
    REQUIRE(again == ns);
}

static void check_ladder(const struct ending_change *ending)
{
    REQUIRE(ending->on_expiry <= ON_EXPIRY_KILL);
    REQUIRE(ending->grace_ns >= 0 && ending->grace_ns <= DURATION_MAX_NS);
    REQUIRE(ending->grace_ns % NS_PER_SECOND == 0);
    REQUIRE(ending->warn.ns >= 0 && ending->warn.ns <= DURATION_MAX_NS);
    REQUIRE(ending->warn.ns % NS_PER_SECOND == 0);
    REQUIRE(ending->warn.signal == 0 ||
            (ending->warn.ns > 0 && ending_signal_text(ending->warn.signal)));
}

static void write_ladder(const struct ending_change *ending, char *text, size_t size)
{
    char on_expiry[32] = "", grace[48] = "", warn[WARN_TEXT_MAX + 8] = "", words[WARN_TEXT_MAX];

    if (ending->set_on_expiry)
        snprintf(on_expiry, sizeof(on_expiry), " on_expiry=%s",
                 ending_on_expiry_text(ending->on_expiry));
    if (ending->set_grace)
        snprintf(grace, sizeof(grace), " grace=%" PRId64, ending->grace_ns / NS_PER_SECOND);
    ending_warn_text(&ending->warn, words);
    if (ending->set_warn)
        snprintf(warn, sizeof(warn), " warn=%s", words);
    snprintf(text, size, "%s%s%s", on_expiry, grace, warn);
}

/* Text being put together. */
struct written {
    char text[4 * REQUEST_TEXT_MAX];
    size_t length;
};

static void add(struct written *written, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add(struct written *written, const char *format, ...)
{
    size_t room = sizeof(written->text) - written->length;
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(written->text + written->length, room, format, arguments);
    va_end(arguments);
    REQUIRE(length >= 0 && (size_t)length < room);
    written->length += (size_t)length;
}

/* Write a word of a request, one function for each kind of value; nothing if it is not set. */
static void write_request_user(struct written *written, const char *name, const request_user *user)
{
    REQUIRE(memchr(*user, 0, sizeof(*user)));
    if (**user)
        add(written, " %s=%s", name, *user);
}

static void write_request_label(struct written *written, const char *name,
                                const request_label *label)
{
    REQUIRE(memchr(*label, 0, sizeof(*label)));
    if (**label)
        add(written, "\t%s=%s", name, *label);
}

static void write_request_when(struct written *written, const char *name, const request_when *when)
{
    REQUIRE(memchr(*when, 0, sizeof(*when)));
    if (**when)
        add(written, " %s=%s", name, *when);
}

static void write_request_ns(struct written *written, const char *name, const request_ns *ns)
{
    REQUIRE(*ns == 0 || (*ns >= NS_PER_SECOND && *ns <= DURATION_MAX_NS));
    if (*ns)
        add(written, " %s=%" PRId64, name, *ns / NS_PER_SECOND);
}

static void write_request_share(struct written *written, const char *name,
                                const request_share *share)
{
    char text[16];

    REQUIRE(*share <= 1000000);
    sharing_mode_share_text(*share, text, sizeof(text));
    if (*share)
        add(written, " %s=%s", name, text);
}

static void write_request_priority(struct written *written, const char *name,
                                   const request_priority *priority)
{
    REQUIRE(*priority <= PRIORITIES);
    if (*priority)
        add(written, " %s=%s", name, waiting_priority_text(*priority - 1));
}

static void write_request_devices(struct written *written, const char *name,
                                  const request_devices *devices)
{
    REQUIRE(devices->count <= REQUEST_DEVICES_MAX);
    for (uint32_t i = 0; i < devices->count; i++) {
        for (uint32_t j = 0; j < i; j++)
            REQUIRE(devices->device[i] != devices->device[j]);
        if (i == 0)
            add(written, " %s=", name);
        add(written, "%sgpu%" PRIu32, i ? "," : "", devices->device[i]);
    }
}

static void write_request_gpus(struct written *written, const char *name, const request_gpus *gpus)
{
    REQUIRE(gpus->named.count == 0 || gpus->named.count == gpus->count);
    if (gpus->named.count)
        write_request_devices(written, name, &gpus->named);
    else if (gpus->count)
        add(written, " %s=%" PRIu32, name, gpus->count);
}

static void write_request(const struct request *request, struct written *written)
{
    char text[REQUEST_TEXT_MAX];

    written->length = 0;
    if (request->slot)
        snprintf(text, sizeof(text), "slot");
    else
        write_amount(&request->amount, text, sizeof(text));
    add(written, "%s %" PRId64, text, request->duration_ns / NS_PER_SECOND);
    write_ladder(&request->ending, text, sizeof(text));
    add(written, "%s", text);
#define KEY(name, option, value, kind, doc) write_##kind(written, #name, &request->name);
#define PLAN(name, option, value, doc)
#define PLAIN(name, value, kind, doc) write_##kind(written, #name, &request->name);
#define BARE(name, doc)                                                                            \
    if (request->name)                                                                             \
        add(written, " %s", #name);
#include "core/engine/request.def"
}

static void check_words(const struct request *request)
{
    bool waits = request->queue || request->wait;

    REQUIRE(!*request->start || !waits);
    REQUIRE(!*request->every || (*request->start && !request->unique));
    REQUIRE(*request->every || (!*request->until && !*request->times && !request->skip));
    REQUIRE(!request->pack || !request->spread);
    REQUIRE(request->quota_group == 0);
}

static void fuzz_request(const char *text, size_t length)
{
    static struct written first, second;
    struct request request, again;
    int r = request_parse(text, length, &request, message, sizeof(message));

    if (r) {
        check_refusal(r);
        return;
    }
    check_amount(&request.amount);
    REQUIRE(request.duration_ns >= NS_PER_SECOND && request.duration_ns <= DURATION_MAX_NS);
    check_ladder(&request.ending);
    check_words(&request);
    write_request(&request, &first);
    if (first.length > REQUEST_TEXT_MAX) /* what was written shorter */
        return;
    REQUIRE(request_parse(first.text, first.length, &again, message, sizeof(message)) == 0);
    same_amount(&request.amount, &again.amount);
    write_request(&again, &second);
    REQUIRE(strcmp(first.text, second.text) == 0);
}

/* A line of a file `quota`. What is shown for a limit stands for the same limit. */
static void fuzz_quota(const char *text, size_t length)
{
    struct quota_change change, again;
    char limit[QUOTA_TEXT_MAX], line[64 + QUOTA_TEXT_MAX];
    int r = quota_text_parse(text, length, &change, message, sizeof(message));

    if (r) {
        check_refusal(r);
        return;
    }
    REQUIRE(change.key < QUOTA_KEYS);
    if (!change.set)
        return;
    quota_text_limit(change.key, change.limit, limit);
    snprintf(line, sizeof(line), "%s %s", quota_text_key(change.key), limit);
    REQUIRE(quota_text_parse(line, strlen(line), &again, message, sizeof(message)) == 0);
    REQUIRE(again.set && again.key == change.key && again.limit == change.limit);
}

static void same_policy(const struct policy *a, const struct policy *b)
{
#define SETTING(name, type, field, standard, kind, words, text)                                    \
    REQUIRE(memcmp(&a->field, &b->field, sizeof(a->field)) == 0);
#include "core/engine/policy.def"
#undef SETTING
}

static void fuzz_policy(const char *text, size_t length)
{
    char value[128], canonical[ENGINE_VALUE_MAX], again[ENGINE_VALUE_MAX];

    length = length < sizeof(value) ? length : sizeof(value) - 1;
    memcpy(value, text, length);
    value[length] = 0;
    for (const struct policy_row *row = policy_rows; row->name; row++) {
        struct policy policy, before, after;

        policy_init(&policy);
        before = policy;
        int r = policy_set(&policy, row->name, value, canonical, sizeof(canonical), message,
                           sizeof(message));
        if (r) {
            check_refusal(r);
            REQUIRE(memcmp(&policy, &before, sizeof(policy)) == 0);
            continue;
        }
        REQUIRE(policy.max_fraction_ppm >= 1 && policy.max_fraction_ppm <= 1000000);
        REQUIRE(policy.min_duration_ns >= NS_PER_SECOND);
        REQUIRE(policy.max_duration_ns >= policy.min_duration_ns);
        after = policy;
        REQUIRE(policy_set(&after, row->name, canonical, again, sizeof(again), message,
                           sizeof(message)) == 0);
        REQUIRE(strcmp(canonical, again) == 0);
        same_policy(&after, &policy);
        REQUIRE(policy.max_partitions >= 1 && policy.reorder >= 1);
        REQUIRE(policy.promise_slack_ppm <= 100000000 && policy.half_life_ns >= NS_PER_SECOND);
        REQUIRE(policy.default_priority < PRIORITIES && policy.preempt_min_ns >= 0);
        REQUIRE(policy.allowed_on_expiry >= 1 && policy.allowed_on_expiry <= 7);
        REQUIRE(policy.default_on_expiry <= ON_EXPIRY_KILL);
        REQUIRE(policy.default_grace_ns >= 0 && policy.max_grace_ns >= 0);
        REQUIRE(policy.watchdog_interval_ns >= NS_PER_SECOND && policy.watchdog_grace_ns >= 0);
    }
}

/* Any two numbers as texts: terminated, and within their size. */
static void fuzz_texts(const char *text, size_t length)
{
    uint64_t numbers[2] = {0};
    char out[40];

    memcpy(numbers, text, length < sizeof(numbers) ? length : sizeof(numbers));
    for (size_t size = 1; size <= sizeof(out); size += 13) {
        units_fraction_text(numbers[0], numbers[1], out, size);
        REQUIRE(strnlen(out, size) < size);
        units_percent_text(numbers[0], numbers[1], out, size);
        REQUIRE(strnlen(out, size) < size);
        units_size_text(numbers[0], out, size);
        REQUIRE(strnlen(out, size) < size);
        units_duration_text((int64_t)numbers[0], out, size);
        REQUIRE(strnlen(out, size) < size);
    }
    REQUIRE(units_seconds_up((int64_t)numbers[0]) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const char *text = (const char *)data;

    if (!data)
        return 0;
    memset(message, 0x7f, sizeof(message));
    fuzz_request(text, length);
    fuzz_amount(text, length);
    fuzz_duration(text, length);
    fuzz_policy(text, length);
    fuzz_quota(text, length);
    fuzz_texts(text, length);
    if (request_label_check(text, length, message, sizeof(message)))
        check_refusal(REFUSED_INVALID);
    return 0;
}
